export default {
  find: 'Search names, descriptions, folders', anyModel: 'All models', model: 'Model', anyOwner: 'All owners', open: 'Open', rename: 'Rename', describe: 'Change description', move: 'Move to folder', moveHint: 'Folder (levels by /, empty for none)', copyName: 'Name of the copy',
  history: 'History', historyOf: 'History: {name}', version: 'Version {n}', now: 'Current', look: 'Look', restore: 'Restore', restored: 'Restored', restoreSure: 'Make version {n} the current one? The others stay in the history.',
  removeSure: 'Delete “{name}” and its history? Cards of boards that show it will be empty.', empty: 'No saved analyses yet', emptyText: 'Press Save on any analysis page: then it is here, and can be put on boards.', begin: 'Make an analysis',
}
