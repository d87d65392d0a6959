/** Zuji in a WeChat mini program. See README.md. */
import { Tracker } from '../../js-core/src/tracker.js';
import type { CoreOptions, Properties } from '../../js-core/src/types.js';
import { hookPages } from './pages.js';
import { miniProgram } from './wx.js';
import type { LaunchOptions, Wx } from './wx.js';

export type { Consent, Failure, Properties, Stats, Value } from '../../js-core/src/types.js';
export type { Wx } from './wx.js';

declare const ZUJI_VERSION: string;
declare const wx: Wx;

export const version: string = ZUJI_VERSION;

export interface Options extends CoreOptions {
  /** `mp_launch`, `mp_show`, `mp_hide`. Default true. */
  app?: boolean;
  /** `mp_view`. Default true. */
  views?: boolean;
  /** `mp_share`. Default true. */
  shares?: boolean;
  /** For tests, and for programs that speak the same language elsewhere. */
  wx?: Wx;
}

export class ZujiMini extends Tracker {
  private readonly mini: Options;
  private readonly undo: Array<() => void> = [];
  private route = '';
  private shownAt = 0;

  constructor(options: Options) {
    const api = options.wx || wx;
    super(miniProgram(api), options, version);
    this.mini = options;
    this.setConsent(options.consent === undefined ? null : options.consent);
    this.listen(api);
  }

  close(): void {
    for (const undo of this.undo.splice(0)) undo();
    super.close();
  }

  private listen(api: Wx): void {
    const app = this.mini.app !== false;
    if (app) {
      const launch = api.getLaunchOptionsSync ? api.getLaunchOptionsSync() : {};
      this.track('mp_launch', entrance(launch));
    }
    const show = (options: LaunchOptions): void => {
      this.shownAt = this.platform.now();
      if (app) this.track('mp_show', entrance(options || {}));
    };
    const hide = (): void => {
      const ms = this.shownAt ? Math.max(0, this.platform.now() - this.shownAt) : null;
      this.shownAt = 0;
      if (app) this.track('mp_hide', { $path: this.route || null, duration_ms: ms });
      void this.flush(); // it may be ended any time from now on
    };
    const network = (status: { isConnected: boolean }): void => {
      if (status.isConnected) this.sender.hurry();
    };
    if (api.onAppShow) api.onAppShow(show);
    if (api.onAppHide) api.onAppHide(hide);
    if (api.onNetworkStatusChange) api.onNetworkStatusChange(network);
    this.undo.push(() => {
      if (api.offAppShow) api.offAppShow(show);
      if (api.offAppHide) api.offAppHide(hide);
      if (api.offNetworkStatusChange) api.offNetworkStatusChange(network);
    });
    this.undo.push(
      hookPages({
        show: (route) => {
          const from = this.route;
          this.route = route;
          if (this.mini.views === false) return;
          this.track('mp_view', { $path: route, $referrer: from || null });
        },
        share: (route, channel, from) => {
          if (this.mini.shares === false) return;
          this.track('mp_share', { $path: route, $share_channel: channel, $share_from: from });
        },
      })
    );
  }
}

/** How the program was entered: without its query, but for the campaign. */
function entrance(options: LaunchOptions): Properties {
  const properties: Properties = {
    $path: options.path || null,
    $scene: options.scene === undefined ? null : String(options.scene),
  };
  const query = options.query || {};
  for (const name of Object.keys(query)) {
    if (/^utm_(source|medium|campaign|term|content)$/.test(name)) properties['$' + name] = query[name];
  }
  return properties;
}

/** Begin: in app.js, before `App(…)` and before pages are required. */
export function init(options: Options): ZujiMini {
  return new ZujiMini(options);
}
