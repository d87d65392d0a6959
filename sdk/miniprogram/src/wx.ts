/** As much of `wx` as is used, and a platform made of it. Nothing here throws. */
import type { Platform, Store } from '../../js-core/src/types.js';

const TIMEOUT_MS = 30_000;

export interface LaunchOptions {
  path?: string;
  scene?: number;
  query?: { [name: string]: string };
}

export interface Wx {
  request(options: {
    url: string;
    method: 'POST';
    data: string;
    header: { [name: string]: string };
    timeout: number;
    dataType: string;
    success(reply: { statusCode: number; data: unknown; header?: { [name: string]: string } }): void;
    fail(): void;
  }): { abort(): void } | undefined;
  getStorageSync(key: string): unknown;
  setStorageSync(key: string, value: string): void;
  removeStorageSync(key: string): void;
  getStorageInfoSync(): { keys: string[] };
  getLaunchOptionsSync?(): LaunchOptions;
  onAppShow?(work: (options: LaunchOptions) => void): void;
  offAppShow?(work: (options: LaunchOptions) => void): void;
  onAppHide?(work: () => void): void;
  offAppHide?(work: () => void): void;
  onNetworkStatusChange?(work: (status: { isConnected: boolean }) => void): void;
  offNetworkStatusChange?(work: (status: { isConnected: boolean }) => void): void;
}

declare const crypto: { getRandomValues?(bytes: Uint8Array): void } | undefined;
declare function setTimeout(work: () => void, ms: number): number;
declare function clearTimeout(timer: number): void;

function storage(wx: Wx): Store {
  return {
    get(key) {
      try {
        const value = wx.getStorageSync(key);
        return typeof value === 'string' && value !== '' ? value : null;
      } catch (_) {
        return null;
      }
    },
    set(key, value) {
      try {
        wx.setStorageSync(key, value);
        return true;
      } catch (_) {
        return false; // full: 10 MB in all, 1 MB an entry
      }
    },
    remove(key) {
      try {
        wx.removeStorageSync(key);
      } catch (_) {
        // nothing to be done
      }
    },
    keys() {
      try {
        return wx.getStorageInfoSync().keys;
      } catch (_) {
        return [];
      }
    },
  };
}

export function miniProgram(wx: Wx): Platform {
  return {
    store: storage(wx),
    lib: 'miniprogram',
    // One program runs at a time: what lies there is an earlier run's.
    adoptAfterMs: 0,
    now: () => Date.now(),
    random(bytes) {
      try {
        crypto!.getRandomValues!(bytes);
      } catch (_) {
        for (let i = 0; i < bytes.length; i++) bytes[i] = Math.random() * 256;
      }
    },
    after(ms, work) {
      const timer = setTimeout(work, Math.min(ms, 0x7fffffff));
      return () => clearTimeout(timer);
    },
    post(url, key, body, done) {
      const failed = (): void => done({ status: 0, body: '', retryAfter: null });
      try {
        const task = wx.request({
          url,
          method: 'POST',
          data: body,
          header: { Authorization: 'Bearer ' + key, 'Content-Type': 'application/json' },
          timeout: TIMEOUT_MS,
          dataType: 'text', // otherwise it parses, and hides what is no JSON
          success(reply) {
            const { data, header = {} } = reply;
            done({
              status: reply.statusCode,
              body: typeof data === 'string' ? data : JSON.stringify(data) || '',
              retryAfter: header['Retry-After'] || header['retry-after'] || null,
            });
          },
          fail: failed,
        });
        return () => task && task.abort();
      } catch (_) {
        setTimeout(failed, 0);
        return () => undefined;
      }
    },
  };
}
