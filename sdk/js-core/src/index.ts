/** Everything of the core: for tests. The packages import what they need from its files. */
export { Batches } from './batches.js';
export { cut, eventText, idOf, isName, propertiesText } from './clean.js';
export { uuid } from './ids.js';
export { Sender, bodyOf, endpoint, retryAfterMs } from './sender.js';
export { Tracker } from './tracker.js';
export type * from './types.js';
