/**
 * Clicks on what can be clicked. Never what was typed or chosen: no values, and no text out of
 * fields. `data-zuji-ignore` on an element or around it: nothing at all; `data-zuji-no-text`:
 * without its text.
 */
import type { Properties } from '../../js-core/src/types.js';

const CLICKABLE =
  'a,button,summary,[role=button],[role=link],[role=menuitem],[role=tab],[data-zuji-click],' +
  'input[type=button],input[type=submit],input[type=reset],input[type=image],' +
  'input[type=checkbox],input[type=radio]';
const FIELDS = /^(input|textarea|select|option|datalist|script|style)$/i;
const TEXT_LENGTH = 100;

/** What is told about a click on `target`; null: nothing. */
export function clicked(target: EventTarget | null, address: (url: string) => string): Properties | null {
  let node = target as Element | null;
  if (node && node.nodeType === 3) node = (node as Node).parentNode as Element | null;
  if (!node || !node.closest) return null;
  const element = node.closest(CLICKABLE);
  if (!element || node.closest('[data-zuji-ignore]')) return null;
  const tag = element.tagName.toLowerCase();
  const properties: Properties = {
    $element_type: tag,
    $element_id: element.id || null,
    $element_class: element.getAttribute('class') || null,
    $element_name: element.getAttribute('data-zuji-click') || null,
    $element_path: path(element),
  };
  if (!element.closest('[data-zuji-no-text]')) {
    properties.$element_text = text(element).replace(/\s+/g, ' ').trim().slice(0, TEXT_LENGTH) || null;
  }
  const href = tag === 'a' && (element as HTMLAnchorElement).href;
  if (href && /^https?:/.test(href)) properties.$element_url = address(href);
  return properties;
}

/** What stands on the element, without fields and what may be edited. */
function text(node: Node): string {
  if (node.nodeType === 3) return node.nodeValue || '';
  const element = node as HTMLElement;
  if (
    node.nodeType !== 1 ||
    FIELDS.test(element.tagName) ||
    element.isContentEditable ||
    element.hasAttribute('data-zuji-ignore') ||
    element.hasAttribute('data-zuji-no-text')
  ) {
    return '';
  }
  let all = '';
  for (let child = node.firstChild; child && all.length < 1000; child = child.nextSibling) {
    all += text(child) + ' ';
  }
  return all;
}

/** Like `main>ul#menu>li>a`: up to five levels, up to the next id. */
function path(element: Element): string {
  const parts: string[] = [];
  for (let at: Element | null = element; at && parts.length < 5; at = at.parentElement) {
    const tag = at.tagName.toLowerCase();
    parts.unshift(at.id ? tag + '#' + at.id : tag);
    if (at.id || tag === 'body') break;
  }
  return parts.join('>');
}
