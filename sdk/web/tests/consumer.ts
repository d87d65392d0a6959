// The types as an application sees them, through the package's exports. Compiled, not run.
import { init, version, type Options, type Properties, type Stats } from 'zuji-web';

const options: Options = {
  url: 'https://c',
  key: 'k',
  consent: null,
  hashRoutes: true,
  address: (url) => url.slice(1),
  onError: (error) => console.log(error.code.length, error.lost + 1),
};
const tracker = init(options);
const properties: Properties = { a: 1, b: ['x'], c: null, d: new Date(), e: undefined };
tracker.track('e', properties);
tracker.identify(7);
tracker.pageView({ x: true });
const gone: Promise<boolean> = tracker.flush();
const stats: Stats = tracker.stats;
console.log(gone, stats.accepted, version.length, tracker.getConsent() === true);
// @ts-expect-error: an event has a name
tracker.track(1);
// @ts-expect-error: values are flat
tracker.track('e', { a: { b: 1 } });
// @ts-expect-error: a key is needed
init({ url: 'https://c' });
