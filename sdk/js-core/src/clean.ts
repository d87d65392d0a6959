/**
 * One event as JSON text, by the collector's rules. An application must not break over its
 * tracking, so nothing throws: long texts and lists are cut, what cannot be sent is left out, and
 * `complain` hears of it.
 */
import type { Properties, Value } from './types.js';

const STRING_BYTES = 8192;
const NAME_BYTES = 100;
const ID_BYTES = 255;
const LIST_VALUES = 500;
const PROPERTIES = 255;
const EVENT_CHARACTERS = 250_000; // at most 750,000 bytes: a batch on the wire has at most 1 MiB
const RESERVED = ['$name', '$time', '$received', '$device_id'];

export type Complain = (code: string, message: string) => void;

/** The text, at most so many bytes of UTF-8 long; a lone surrogate becomes U+FFFD. */
export function cut(text: string, most: number): string {
  let bytes = 0;
  let out = '';
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    let size = code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
    let units = 1;
    let lone = false;
    if (code >= 0xd800 && code < 0xe000) {
      const next = text.charCodeAt(i + 1);
      lone = !(code < 0xdc00 && next >= 0xdc00 && next < 0xe000);
      if (!lone) {
        size = 4;
        units = 2;
      }
    }
    if (bytes + size > most) return out + text.slice(from, i);
    bytes += size;
    if (lone) {
      out += text.slice(from, i) + '\ufffd';
      from = i + 1;
    }
    i += units - 1;
  }
  return from ? out + text.slice(from) : text;
}

/** Whether the collector takes it as the name of an event or a property. */
export function isName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name !== '' &&
    !/[\x00-\x1f\x7f]/.test(name) &&
    cut(name, NAME_BYTES) === name
  );
}

/** An id as text, or '' when it is none. */
export function idOf(id: unknown): string {
  const text = typeof id === 'number' && isFinite(id) ? String(id) : id;
  return typeof text === 'string' && cut(text, ID_BYTES) === text ? text : '';
}

function valueText(name: string, value: Value, complain: Complain): string | null {
  if (typeof value === 'string') return JSON.stringify(cut(value, STRING_BYTES));
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!isFinite(value)) {
      complain('not_finite', name);
      return null;
    }
    const text = JSON.stringify(value);
    return /[.e]/.test(text) ? text : text + '.0';
  }
  if (value instanceof Date && !isNaN(+value)) return JSON.stringify(value.toISOString());
  if (Array.isArray(value)) {
    const texts: string[] = [];
    for (const text of value as unknown[]) {
      if (typeof text !== 'string') {
        complain('bad_value', name + ' holds something that is not text');
      } else if (texts.length < LIST_VALUES) {
        texts.push(JSON.stringify(cut(text, STRING_BYTES)));
      }
    }
    return '[' + texts.join() + ']';
  }
  complain('bad_value', name);
  return null;
}

/** `{"name":value,…}`. `keepNull`: null stands for itself; otherwise it leaves the property out. */
export function propertiesText(
  properties: Properties,
  keepNull: boolean,
  complain: Complain
): string {
  const parts: string[] = [];
  for (const name of Object.keys(properties)) {
    const value = properties[name];
    if (value === undefined || (value === null && !keepNull)) continue;
    if (!isName(name) || RESERVED.indexOf(name) >= 0) {
      complain('bad_name', 'property ' + name.slice(0, 100));
      continue;
    }
    const text = value === null ? 'null' : valueText(name, value, complain);
    if (text === null) continue;
    if (parts.length === PROPERTIES) {
      complain('too_many_properties', 'only the first ' + PROPERTIES + ' are sent');
      break;
    }
    parts.push(JSON.stringify(name) + ':' + text);
  }
  return '{' + parts.join() + '}';
}

/** The whole event: `fields` are texts and numbers, those that are empty are left out. */
export function eventText(
  fields: { [name: string]: string | number },
  properties: string,
  complain: Complain
): string | null {
  const parts: string[] = [];
  for (const name of Object.keys(fields)) {
    if (fields[name] !== '') parts.push(JSON.stringify(name) + ':' + JSON.stringify(fields[name]));
  }
  if (properties !== '{}') parts.push('"properties":' + properties);
  const text = '{' + parts.join() + '}';
  if (text.length > EVENT_CHARACTERS) {
    complain('event_too_large', text.length + ' characters');
    return null;
  }
  return text;
}
