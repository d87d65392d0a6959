// The types as an application sees them, through the package's exports. Compiled, not run.
import { init, type Options } from 'zuji-miniprogram';

const options: Options = { url: 'https://c', key: 'k', consent: true, shares: false };
const tracker = init(options);
tracker.track('e', { a: 1 });
tracker.setConsent(false);
const gone: Promise<boolean> = tracker.flush();
console.log(gone, tracker.deviceId().length);
// @ts-expect-error: not an option here
init({ url: 'https://c', key: 'k', hashRoutes: true });
