/** Zuji in the browser. See README.md. */
import { bodyOf, endpoint } from '../../js-core/src/sender.js';
import { Tracker, prefixOf } from '../../js-core/src/tracker.js';
import type { CoreOptions, Platform, Properties } from '../../js-core/src/types.js';
import { clicked } from './click.js';
import { browser, depart, localStore, withCookie } from './platform.js';
import { Stay } from './stay.js';

export type { Consent, Failure, Properties, Stats, Value } from '../../js-core/src/types.js';

declare const ZUJI_VERSION: string;

export const version: string = ZUJI_VERSION;

export interface Options extends CoreOptions {
  /** Page views, of the first page and of every change of its path. Default true. */
  pageViews?: boolean;
  /** Clicks on links, buttons and `[data-zuji-click]`. Default true. */
  clicks?: boolean;
  /** How long pages are seen. Default true. */
  stay?: boolean;
  /** With hash routers: a change of what follows `#` is a change of page. Default false. */
  hashRoutes?: boolean;
  /** What of an address is told. Default: origin and path (with `hashRoutes` the hash as well);
   * queries often carry what is nobody's business. */
  address?: (url: string) => string;
  /** `example.com`: one device id for all its hosts, by cookie. */
  cookieDomain?: string;
}

const CAMPAIGN = ['utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content'];
const BEACON_BYTES = 60_000; // browsers take 64 KB in all

export class Zuji extends Tracker {
  private readonly web: Options;
  private readonly stay: Stay;
  private readonly undo: Array<() => void> = [];
  private page = '';
  private referrer = '';
  private left = false;
  private readonly handed: string[] = []; // ids of batches that a beacon took

  constructor(options: Options) {
    const name = prefixOf(options) + 'device';
    const platform: Platform = browser(withCookie(localStore(), name, options.cookieDomain));
    super(platform, options, version);
    this.web = options;
    this.stay = new Stay(platform.now);
    this.referrer = document.referrer && this.address(document.referrer);
    this.listen();
    this.setConsent(options.consent === undefined ? null : options.consent);
    this.arrive();
  }

  /** A page came up that no route told of. `properties` go with its page view. */
  pageView(properties?: Properties): void {
    this.track('page_view', Object.assign(this.where(), campaign(), properties));
  }

  close(): void {
    for (const undo of this.undo.splice(0)) undo();
    super.close();
  }

  private where(): Properties {
    return {
      $url: this.address(location.href),
      $path: location.pathname,
      $title: document.title,
      $referrer: this.referrer || null,
      $screen_width: screen.width,
      $screen_height: screen.height,
      $language: navigator.language,
    };
  }

  private address(url: string): string {
    try {
      if (this.web.address) return String(this.web.address(url));
    } catch (error) {
      this.fail({ code: 'address', message: String(error), lost: 0 });
      return '';
    }
    const bare = url.split(this.web.hashRoutes ? '?' : /[?#]/)[0]!;
    const hash = this.web.hashRoutes && url.indexOf('?') >= 0 ? /#[^?]*/.exec(url) : null;
    return hash && bare.indexOf('#') < 0 ? bare + hash[0] : bare;
  }

  private route(): string {
    return location.pathname + (this.web.hashRoutes ? location.hash.split('?')[0] : '');
  }

  /** A page is up, the first or the next. */
  private arrive(): void {
    this.page = this.address(location.href);
    this.stay.begin(document.visibilityState !== 'hidden');
    this.left = false;
    if (this.web.pageViews !== false) this.pageView();
  }

  /** The page that was up is no more. */
  private depart(): void {
    if (this.left) return;
    this.left = true;
    const ms = this.stay.take();
    if (this.web.stay !== false) {
      this.track('page_stay', { $url: this.page, $title: document.title, duration_ms: ms });
    }
  }

  private listen(): void {
    const on = (target: EventTarget, type: string, work: (event: any) => void, capture = false): void => {
      const safe = (event: Event): void => {
        try {
          work(event);
        } catch (error) {
          this.fail({ code: 'bug', message: String(error), lost: 0 });
        }
      };
      target.addEventListener(type, safe, capture);
      this.undo.push(() => target.removeEventListener(type, safe, capture));
    };

    let route = this.route();
    const moved = (): void => {
      const now = this.route();
      if (now === route) return;
      route = now;
      const from = this.page;
      this.depart();
      this.referrer = from;
      this.arrive();
    };
    on(window, 'popstate', moved);
    if (this.web.hashRoutes) on(window, 'hashchange', moved);
    for (const name of ['pushState', 'replaceState'] as const) {
      const real = history[name];
      const patched = function (this: History, ...args: [any, string, any?]): void {
        real.apply(this, args);
        moved();
      };
      history[name] = patched;
      this.undo.push(() => {
        // Others may have patched it after us: then it stays, and does nothing.
        if (history[name] === patched) history[name] = real;
      });
    }
    this.undo.push(() => (route = ''));

    if (this.web.clicks !== false) {
      on(
        document,
        'click',
        (event: Event) => {
          const path = event.composedPath ? event.composedPath() : [];
          const properties = clicked(path[0] || event.target, (url) => this.address(url));
          if (properties) {
            this.track('click', Object.assign({ $url: this.page, $title: document.title }, properties));
          }
        },
        true
      );
    }
    on(document, 'visibilitychange', () => {
      const visible = document.visibilityState !== 'hidden';
      this.stay.visible(visible);
      if (!visible) void this.flush(); // phones end hidden pages without a word
    });
    on(window, 'pagehide', () => {
      this.depart();
      this.sendBeacons();
    });
    on(window, 'pageshow', (event: PageTransitionEvent) => {
      if (event.persisted) this.arrive(); // back out of the cache
    });
    on(window, 'online', () => this.sender.hurry());
    on(window, 'storage', (event: StorageEvent) => {
      // Consent was withdrawn in another tab.
      if (event.key === this.prefix + 'device' && event.newValue === null) this.setConsent(false);
    });
  }

  /** What a beacon takes is kept as well, since nobody hears whether it arrived: the next page
   * sends it again under the same id, and the collector stores it once. */
  private sendBeacons(): void {
    let room = BEACON_BYTES;
    for (const batch of this.leave()) {
      if (this.handed.indexOf(batch.id) >= 0) continue;
      const body = bodyOf(batch, this.platform.now());
      room -= encodeURI(body.replace(/[\ud800-\udfff]/g, '__')).replace(/%../g, '_').length;
      if (room < 0 || !depart(endpoint(this.options), this.options.key, body)) break;
      this.handed.push(batch.id);
    }
    this.batches.release();
  }
}

/** Begin. Once a page; `close` ends it. */
export function init(options: Options): Zuji {
  return new Zuji(options);
}

function campaign(): Properties {
  const found: Properties = {};
  for (const part of location.search.slice(1).split('&')) {
    const [name, value] = part.split('=');
    if (name && value && CAMPAIGN.indexOf(name) >= 0) {
      try {
        found['$' + name] = decodeURIComponent(value.replace(/\+/g, ' '));
      } catch (_) {
        // not an encoded text
      }
    }
  }
  return found;
}
