/**
 * Hooks into pages: `Page` and `Component` are replaced by functions that look at what they are
 * given first. Hooks run before the page's own functions and never stop them.
 */
type Options = { [name: string]: any };
type Register = (options: Options) => unknown;

declare let Page: Register;
declare let Component: Register;

export interface Hooks {
  show(route: string): void;
  share(route: string, channel: 'message' | 'timeline', from: string): void;
}

/** Returns what undoes it. */
export function hookPages(hooks: Hooks): () => void {
  let on = true;
  const before = (page: Options, name: string, work: (route: string, event: any) => void): void => {
    const real = page[name];
    page[name] = function (this: { route?: string }, ...args: unknown[]): unknown {
      try {
        if (on && this && this.route) work(this.route, args[0] || {});
      } catch (_) {
        // our own fault; the page goes on
      }
      return typeof real === 'function' ? real.apply(this, args) : undefined;
    };
  };
  const hook = (page: Options): void => {
    before(page, 'onShow', (route) => hooks.show(route));
    // A page that has no such function must not get one: it would show a menu entry.
    if (page.onShareAppMessage) {
      before(page, 'onShareAppMessage', (route, event) =>
        hooks.share(route, 'message', String(event.from || 'menu'))
      );
    }
    if (page.onShareTimeline) {
      before(page, 'onShareTimeline', (route) => hooks.share(route, 'timeline', 'menu'));
    }
  };
  const undo: Array<() => void> = [() => (on = false)];
  if (typeof Page === 'function') {
    const real = Page;
    const patched: Register = (options) => {
      hook(options);
      return real(options);
    };
    Page = patched;
    undo.push(() => {
      if (Page === patched) Page = real;
    });
  }
  if (typeof Component === 'function') {
    const real = Component;
    const patched: Register = (options) => {
      // A page made by Component has its life cycle among the methods.
      if (options.methods && (options.methods.onLoad || options.methods.onShow)) hook(options.methods);
      return real(options);
    };
    Component = patched;
    undo.push(() => {
      if (Component === patched) Component = real;
    });
  }
  return () => undo.forEach((work) => work());
}
