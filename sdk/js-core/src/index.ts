/** Everything of the core: for tests. The packages import what they need from its files. */
export { Batches } from './batches';
export { cut, eventText, idOf, isName, propertiesText } from './clean';
export { uuid } from './ids';
export { Sender, bodyOf, endpoint, retryAfterMs } from './sender';
export { Tracker } from './tracker';
export type * from './types';
