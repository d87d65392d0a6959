export default {
  question: 'Question', answer: 'Answer', where: 'Filter of events', audience: 'Users', by: 'Breakdown', table: 'Table', chart: 'Picture', notIn: 'not: {what}',
  running: 'Counting {share}% · {s} s', stop: 'Stop', elapsed: '{ms} ms', rowsRead: '{n} rows read', complete: 'complete', completeUntil: 'data until {at}', truncated: 'too much: cut off', again: 'Ask again',
  rows: '{n} rows', usersOf: 'Users: {what}', users: 'Users', usersFound: '{n} users', searchId: 'Search ids', userId: 'User id', deviceId: 'Device id', timeline: 'Timeline', noUsers: 'No users match',
  saveCohort: 'Save as cohort', cohortName: 'Name of the cohort', cohortSaved: 'Saved the cohort “{name}”',
  save: 'Save', saveTitle: 'Save the analysis', saveNew: 'Save as a new one', saveVersion: 'Save as a new version', name: 'Name', folder: 'Folder', folderHint: 'may stay empty', description: 'Description', savedAs: 'Saved “{name}”',
  export: 'Export', noPicture: 'This view has no picture to save; save the table', json: 'The query as JSON', copy: 'Copy', copied: 'Copied', useJson: 'Use', otherModel: 'This is a query of “{model}”; open it on that page',
  link: 'Copy link', linkCopied: 'Link copied: it opens this very view', undo: 'Undo', redo: 'Redo', reset: 'Start over',
  empty: 'Nothing was found', emptyUntil: 'The newest data of this project is of {at}. Change the dates, or look at the filters.', toData: 'The last 30 days that have data', dropFilters: 'Drop filters', noEvents: 'The project has no events yet. Connect an SDK or import data.',
  unseen: { event: 'The event “{name}” has no data yet. ', property: 'The property “{name}” has no data yet. ' }, nearest: 'Nearest: {names}', noDates: 'Some values of “{name}” are no dates: those users are left out.',
  missing: {
    event: 'Choose an event to begin', property: 'Choose a property to measure', steps: 'Choose at least two steps', startReturn: 'Choose what users begin with and come back for', target: 'Choose what counts as a conversion', touch: 'Choose at least one touch',
    credit: 'Choose at least one model of credit', measure: 'Choose at least one measure', traits: 'Choose user properties to compare', page: 'Choose a page to see where it is clicked', start: 'Choose what users enter by', values: 'Choose events that are worth something', monetary: 'Choose the property that is summed',
  },
}
