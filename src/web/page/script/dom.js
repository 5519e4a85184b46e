// What is shown, as plain values, and how the document is made to match it.
//
// `h` makes such a value, `show` makes the children of an element match a list of them: elements that stay are kept, with
// their focus, their selection and what people typed. Text only ever becomes text nodes, and no attribute runs code: nothing
// that comes from the engine can become HTML.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "path", "line", "rect", "circle", "polyline", "polygon", "text", "title"]);
// Set as properties: as attributes they are only the beginning.
const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "indeterminate", "open"]);
const FORBIDDEN = /^(on.+|style|srcdoc|formaction|xlink:href)$/i;

/** An element to be: `h("p", { class: "note" }, "text", other)`. `null`, `undefined`, `false` and `true` are no children. */
export function h(tag, props, ...children) {
  return { tag, props: props ?? {}, children: flat(children), key: props?.key ?? null };
}

function flat(children, into = []) {
  for (const child of children) {
    if (Array.isArray(child)) flat(child, into);
    else if (child === null || child === undefined || child === false || child === true) continue;
    else if (typeof child === "object") into.push(child);
    else into.push(String(child));
  }
  return into;
}

/** Makes the children of `parent` what `wanted` says. */
export function show(parent, ...wanted) {
  const focused = document.activeElement;
  settle(parent, flat(wanted));
  if (focused && focused !== document.activeElement && focused.isConnected && parent.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}

function settle(parent, wanted) {
  const old = [...parent.childNodes];
  const keyed = new Map();
  const free = [];
  for (const node of old) {
    const key = node.$is?.key ?? null;
    if (key !== null) keyed.set(key, node);
    else free.push(node);
  }
  let from = 0;
  const nodes = wanted.map((one) => {
    if (typeof one === "object" && one.key !== null) {
      const node = keyed.get(one.key);
      keyed.delete(one.key);
      return fits(node, one) ? node : null;
    }
    for (let at = from; at < free.length; at += 1) {
      if (!fits(free[at], one)) continue;
      from = at + 1;
      return free[at];
    }
    return null;
  });
  const kept = new Set(nodes);
  for (const node of old) if (!kept.has(node)) node.remove();
  let cursor = parent.firstChild;
  wanted.forEach((one, index) => {
    const node = nodes[index] ?? make(one, parent);
    if (nodes[index]) renew(node, one);
    if (node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(node, cursor);
    if (!nodes[index]) one.props?.made?.(node);
  });
}

function fits(node, one) {
  if (!node) return false;
  if (typeof one === "string") return node.nodeType === Node.TEXT_NODE;
  return node.$is?.tag === one.tag;
}

function make(one) {
  if (typeof one === "string") return document.createTextNode(one);
  const node = SVG_TAGS.has(one.tag) ? document.createElementNS(SVG, one.tag) : document.createElement(one.tag);
  renew(node, one);
  return node;
}

function renew(node, one) {
  if (typeof one === "string") {
    if (node.data !== one) node.data = one;
    return;
  }
  const before = node.$is?.props ?? {};
  node.$is = one;
  dress(node, one.props, before, (name) => name !== "value");
  if (one.props.fill) one.props.fill(node);
  else if (!one.props.opaque) settle(node, one.children);
  // Of a list to choose from only once its choices are there.
  dress(node, one.props, before, (name) => name === "value");
}

function dress(node, props, before, wanted) {
  for (const name of Object.keys(before)) {
    if (wanted(name) && !(name in props)) put(node, name, null);
  }
  for (const [name, value] of Object.entries(props)) {
    if (wanted(name) && before[name] !== value) put(node, name, value);
  }
}

function put(node, name, value) {
  if (name === "key" || name === "made" || name === "fill" || name === "opaque") return;
  if (name === "on") return listen(node, value ?? {});
  if (name === "css") {
    for (const [property, text] of Object.entries(value ?? {})) node.style.setProperty(property, text);
    return;
  }
  if (FORBIDDEN.test(name)) throw new Error(`${name} is never set`);
  if (PROPERTIES.has(name) && name in node) {
    const next = value ?? (name === "value" ? "" : false);
    if (node[name] !== next) node[name] = next;
    return;
  }
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : String(value));
}

function listen(node, handlers) {
  const known = (node.$on ??= {});
  for (const type of Object.keys(known)) known[type] = handlers[type] ?? null;
  for (const [type, handler] of Object.entries(handlers)) {
    if (!(type in known)) node.addEventListener(type, (event) => known[type]?.(event));
    known[type] = handler;
  }
}
