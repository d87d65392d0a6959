/**
 * What an application calls, without what only a browser or a mini program has: consent, ids,
 * sessions, common properties. Before consent nothing is read from storage or written to it.
 */
import { Batches } from './batches.js';
import type { Batch } from './batches.js';
import { eventText, idOf, isName, propertiesText } from './clean.js';
import { uuid } from './ids.js';
import { Sender } from './sender.js';
import type { Consent, CoreOptions, Failure, Platform, Properties, Stats } from './types.js';

const HELD_EVENTS = 100;

/** Not made of the key: ids and the queue outlive a change of key. */
export function prefixOf(options: CoreOptions): string {
  return 'zuji:' + (options.name || '') + ':';
}

export class Tracker {
  readonly stats: Stats = {
    accepted: 0,
    duplicates: 0,
    rejected: 0,
    invalid: 0,
    dropped: 0,
    discarded: 0,
    purged: 0,
    retries: 0,
  };
  readonly prefix: string;
  protected readonly batches: Batches;
  protected readonly sender: Sender;
  private consent: Consent = null;
  private closed = false;
  private device = '';
  private user = '';
  private common: Properties;
  private held: Array<() => void> = [];

  constructor(
    protected readonly platform: Platform,
    protected readonly options: CoreOptions,
    version: string
  ) {
    this.prefix = prefixOf(options);
    this.common = Object.assign({ $lib: platform.lib, $lib_version: version }, options.properties);
    const fail = (failure: Failure): void => this.fail(failure);
    this.batches = new Batches(
      platform,
      this.prefix,
      Math.min(Math.max(options.batchEvents || 50, 1), 2000),
      options.maxQueue || 500_000,
      (events) => {
        this.stats.dropped += events;
        fail({ code: 'queue_full', message: 'the oldest batch was given up', lost: events });
      }
    );
    this.sender = new Sender(platform, options, this.batches, this.stats, fail);
  }

  /** Something happened. `at`: milliseconds since 1970, when it was not now. */
  track(event: string, properties?: Properties, at?: number): void {
    this.record('track', event, properties || {}, at);
  }

  /** Set properties of the user (of the device, before `identify`); null removes one. */
  profileSet(properties: Properties): void {
    this.record('profile_set', '', properties);
  }

  /** Remove properties of the user. */
  profileUnset(names: readonly string[]): void {
    const properties: Properties = {};
    for (const name of names) properties[name] = null;
    this.record('profile_unset', '', properties);
  }

  /** Events are this user's from now on, until `reset`. */
  identify(userId: string | number): void {
    const id = idOf(userId);
    if (!id) {
      this.invalid('bad_value', 'identify: an id is text of 1 to 255 bytes');
      return;
    }
    this.user = id;
    if (this.consent) this.platform.store.set(this.prefix + 'user', id);
  }

  /** The user logged out. `device`: forget the device too, as on a shared computer. */
  reset(device = false): void {
    this.user = '';
    if (device) this.device = '';
    if (!this.consent) return;
    this.platform.store.remove(this.prefix + 'user');
    this.platform.store.remove(this.prefix + 'session');
    if (device) this.newDevice();
  }

  /** Properties of every event from now on, while this page lives; undefined takes one away. */
  register(properties: Properties): void {
    this.common = Object.assign({}, this.common, properties);
  }

  /** '' before consent. */
  deviceId(): string {
    return this.device;
  }

  userId(): string {
    return this.user;
  }

  getConsent(): Consent {
    return this.consent;
  }

  /**
   * true lets events through, also those held before. false deletes everything: the queue, the ids,
   * the session; what comes is discarded. null keeps the queue, unsent.
   */
  setConsent(consent: Consent): void {
    if (this.closed || consent === this.consent) return;
    this.consent = consent;
    const held = this.held;
    if (consent !== null) this.held = [];
    if (consent) {
      const { store } = this.platform;
      this.user = this.user || store.get(this.prefix + 'user') || '';
      if (this.user) store.set(this.prefix + 'user', this.user);
      this.device = store.get(this.prefix + 'device') || '';
      if (!this.device) this.newDevice();
      this.batches.adopt();
      for (const work of held) work();
      this.sender.start();
      return;
    }
    this.sender.stop();
    if (consent === false) {
      this.stats.purged += this.batches.purge() + held.length;
      this.device = this.user = '';
      for (const name of ['session', 'user', 'device']) this.platform.store.remove(this.prefix + name);
      this.sender.stop();
    }
  }

  /** Send everything now. True: nothing is left; false: it waits for a retry, or must not go. */
  flush(): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.consent) this.sender.flush(resolve);
      else resolve(this.batches.isEmpty());
    });
  }

  /** Stop. What was not sent stays in storage. */
  close(): void {
    this.closed = true;
    this.batches.seal();
    this.batches.release();
    this.sender.stop();
  }

  /** Batches to hand to the platform when the page goes away. */
  protected leave(): Batch[] {
    if (!this.consent) return [];
    this.batches.seal();
    this.batches.head(); // lets go of what is another tab's
    return this.batches.sealed.slice();
  }

  private record(type: string, event: string, properties: Properties, at?: number): void {
    if (this.closed) return;
    if (type === 'track' && !isName(event)) {
      this.invalid('bad_name', 'event ' + String(event).slice(0, 100));
      return;
    }
    const time = at === undefined ? this.platform.now() : Math.floor(at);
    if (!(Math.abs(time) < 7_258_118_400_000)) {
      this.invalid('bad_time', event);
      return;
    }
    const own: Properties = type === 'track' ? Object.assign({}, this.common, properties) : properties;
    const complain = (code: string, message: string): void =>
      this.fail({ code, message: event + ' ' + message, lost: 0 });
    const text = propertiesText(own, type !== 'track', complain);
    const { user } = this;
    const store = (): void => this.store(type, event, time, text, user, complain);
    if (this.consent) {
      store();
    } else if (this.consent === null && this.options.beforeConsent === 'hold') {
      this.held.push(store);
      if (this.held.length > HELD_EVENTS) {
        this.held.shift();
        this.stats.discarded++;
      }
    } else {
      this.stats.discarded++;
    }
  }

  private store(
    type: string,
    event: string,
    time: number,
    properties: string,
    user: string,
    complain: (code: string, message: string) => void
  ): void {
    const fields: { [name: string]: string | number } = { time, user_id: user };
    fields.device_id = this.device;
    let text = properties;
    if (type === 'track') {
      fields.event = event;
      const session = '"$session_id":' + JSON.stringify(this.session());
      if (text.indexOf('"$session_id":') < 0) {
        text = '{' + session + (text === '{}' ? '' : ',') + text.slice(1);
      }
    } else {
      fields.type = type;
    }
    const whole = eventText(fields, text, complain);
    if (whole === null) {
      this.stats.invalid++;
      return;
    }
    this.sender.added(this.batches.add(whole));
  }

  /** The session's id; tabs share it. */
  private session(): string {
    const { store } = this.platform;
    const now = this.platform.now();
    const [id, last] = (store.get(this.prefix + 'session') || '').split('|');
    const idle = now - Number(last || 0);
    const over = !id || !(Math.abs(idle) < (this.options.sessionMs || 1_800_000));
    const session = over ? uuid(this.platform.random) : id!;
    store.set(this.prefix + 'session', session + '|' + now);
    return session;
  }

  private newDevice(): void {
    this.device = uuid(this.platform.random);
    this.platform.store.set(this.prefix + 'device', this.device);
  }

  private invalid(code: string, message: string): void {
    this.stats.invalid++;
    this.fail({ code, message, lost: 1 });
  }

  protected fail(failure: Failure): void {
    try {
      if (this.options.onError) this.options.onError(failure);
    } catch (_) {
      // the application's own fault
    }
  }
}
