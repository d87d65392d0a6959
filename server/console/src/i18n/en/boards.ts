export default {
  new: 'New board', newName: 'Name of the board', find: 'Search boards', cards: '{n} cards', rename: 'Rename', toFolder: 'Move to folder', making: 'Making it…',
  empty: 'No boards yet', emptyText: 'A board puts the analyses you look at often on one page, with shared dates and filters. Begin with a template and see charts in seconds.',
  templates: {
    blank: { name: 'Empty board', text: 'Choose from saved analyses yourself' },
    overview: { name: 'Overview', text: 'Daily, weekly and monthly active users, new ones, retention, concurrency, top events' },
    banking: { name: 'Banking', text: 'Log-ins, page views, transfer funnels, campaign participation' },
  },
  removeSure: 'Delete board “{name}”? The saved analyses on it stay.', removeBoard: 'Delete board', discard: 'Discard changes',
  addCard: 'Add card', editCard: 'Edit card', removeCard: 'Remove card', cardKind: 'Kind of card', kinds: { analysis: 'Chart', figure: 'Single figure', text: 'Text' },
  text: 'Text', textHint: '# for heads, - for lists, **bold**, *italic*, `code` and [links](https://…).', findSaved: 'Search saved analyses',
  noSaved: 'No saved analyses yet', noSavedText: 'Make an analysis on any of the analysis pages and save it, then add it here.', toAnalysis: 'Make an analysis', figure: 'Which figure', chart: 'Chart', chartOfSaved: 'As saved', cardTitle: 'Title of the card (optional)',
  refresh: 'Refresh', refreshCard: 'Refresh this card', full: 'Full screen', leaveFull: 'Leave full screen', large: 'Look closer', openAnalysis: 'Open the analysis',
  dataUntil: 'Data until {at}', askedAt: 'Asked at {at}', still: '{n} cards are being refreshed', working: 'Being refreshed', blank: 'No cards on this board yet', blankText: 'Choose charts or figures from saved analyses, or write some text.',
  shared: 'Dates and filter of the board', ownDates: 'Each card has its own dates', toOwnDates: 'Use own dates', filter: 'Filter', filterOn: 'Filtered', refreshEvery: 'Refresh by itself',
  every: { never: 'No automatic refresh', seconds: 'Every {n} seconds', minutes: 'Every {n} minutes', hours: 'Every {n} hours' },
  moveCard: 'Move card: {name}', moveHint: 'Drag the top left corner to move, the bottom right one to resize. Keys: arrows move, Shift and arrows resize, Delete removes.', sizeCard: 'Resize', placeTold: 'Column {x}, row {y}, {w} wide, {h} high',
  savedGone: 'The saved analysis of this card was deleted. Remove the card or choose another.', nothing: 'No data for these dates and filters.', up: '{size} up on the period before', down: '{size} down on the period before', same: 'As in the period before', points: '{n} points', before: 'Before: {value}',
}
