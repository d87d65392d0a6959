export default {
  ok: 'OK', cancel: 'Cancel', again: 'Try again', back: 'Back to the list', save: 'Save', create: 'Create', edit: 'Edit', remove: 'Delete', more: 'More actions',
  copy: 'Copy', copied: 'Copied', saved: 'Saved', removed: 'Deleted', search: 'Search', close: 'Close', add: 'Add', up: 'Move up', down: 'Move down',
  name: 'Name', description: 'Description', folder: 'Folder', owner: 'Owner', changed: 'Changed', actions: 'Actions', all: 'All', noFolder: 'No folder',
  nothingFound: 'Nothing fits', nothingFoundText: 'Try other words, or clear the filters.', clear: 'Clear filters', needName: 'Give it a name',
  unsaved: 'There are changes that are not saved. Leave anyway?', leave: 'Leave', loading: 'Loading…', users: 'Users', readOnly: 'Your role may look, but not change.',
  kinds: { tag: 'Tag', cohort: 'Cohort', property: 'Property' },
  nothing: 'None', needObject: 'A JSON object is needed', ruleAsText: 'Rule (JSON)', asText: 'Edit as JSON', byClicking: 'Back to clicking',
  incomplete: '{n} conditions are not filled in; they do not count and are not saved.',
  words: { all: 'All of', any: 'Any of', none: 'None of', asOf: '(as of {at})', within: 'within {length}', between: '{from} to {to}' },
}
