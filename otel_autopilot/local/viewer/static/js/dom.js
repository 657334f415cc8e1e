// Elements from code. Text only ever becomes text: nothing here parses HTML, whatever a span's name says.

const SVG = "http://www.w3.org/2000/svg";
/** Set as properties: as attributes they would only be initial values. */
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "selected", "indeterminate", "open", "tabIndex", "htmlFor"]);

/**
 * An element.
 * @param {string} tag
 * @param {Record<string, any> | null} [props] `on` takes listeners, `style` properties for CSSOM, `data` what goes into dataset;
 *   null, undefined and false leave an attribute out.
 * @param {...any} children nodes, text, numbers, arrays of those; null and false are left out
 * @returns {HTMLElement}
 */
export function h(tag, props, ...children) {
  return build(document.createElement(tag), props, children);
}

/** An SVG element, as `h`. */
export function s(tag, props, ...children) {
  return build(document.createElementNS(SVG, tag), props, children);
}

/** Replace what is in an element. */
export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

function build(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "href") setHref(element, String(value));
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

/** Links lead to this viewer or over HTTP; never to `javascript:` and the like. */
function setHref(element, address) {
  if (/^(\/(?!\/)|[?#]|https?:\/\/)/.test(address)) element.setAttribute("href", address);
}

function flat(children) {
  const nodes = [];
  for (const child of children) {
    if (Array.isArray(child)) nodes.push(...flat(child));
    else if (child !== null && child !== undefined && child !== false) nodes.push(child instanceof Node ? child : String(child));
  }
  return nodes;
}

/**
 * Make the children of `parent` those of `items`, keeping the elements of items that were there before: scroll, focus and
 * selection survive.
 * @param {Element} parent
 * @param {any[]} items
 * @param {(item: any) => string} key
 * @param {(item: any, old: Element | undefined) => Element} render may give back `old`
 */
export function reconcile(parent, items, key, render) {
  const before = new Map();
  for (const child of parent.children) before.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    const old = before.get(name);
    const element = render(item, old);
    element.dataset.key = name;
    before.delete(name);
    if (old && old !== element) {
      if (place === old) place = old.nextElementSibling;
      old.remove();
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const gone of before.values()) gone.remove();
}
