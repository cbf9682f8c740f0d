"use strict";
// Readable without this: it makes every answer searchable, opens the panel that a link leads to, and marks where one is.
const by = id => document.getElementById(id);
document.documentElement.classList.add("scripted");

function open_target() {
  const target = by(decodeURIComponent(location.hash.slice(1)));
  for (let each = target; each; each = each.parentElement) if (each.localName === "details") each.open = true;
  target?.scrollIntoView();
}
addEventListener("hashchange", open_target);
addEventListener("beforeprint", () => document.querySelectorAll("details.stage").forEach(each => { each.open = true; }));
open_target();

const links = new Map([...document.querySelectorAll("nav a")].map(link => [link.hash.slice(1), link]));
const seen = new IntersectionObserver(entries => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    links.forEach(link => link.removeAttribute("aria-current"));
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }
}, {rootMargin: "-20% 0px -70% 0px"});
links.forEach((_, id) => { const part = by(id); if (part) seen.observe(part); });

function element(name, attributes, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

// ---- charts: the values under the pointer
const SVG = "http://www.w3.org/2000/svg";
function chart(picture) {
  const {x: [left, right, first, last], lines} = JSON.parse(picture.dataset.lines);
  const cursor = document.createElementNS(SVG, "path"), tip = element("div", {class: "tip", hidden: ""});
  cursor.setAttribute("class", "cursor");
  picture.append(cursor);
  picture.parentElement.append(tip);
  const steps = [...new Set(Object.values(lines).flatMap(points => points.map(([step]) => step)))].sort((a, b) => a - b);
  const nearest = step => steps.reduce((best, each) => Math.abs(each - step) < Math.abs(best - step) ? each : best);
  const hide = () => { tip.hidden = true; cursor.removeAttribute("d"); };
  picture.addEventListener("pointerleave", hide);
  picture.addEventListener("pointermove", event => {
    const box = picture.getBoundingClientRect(), scale = box.width / picture.viewBox.baseVal.width;
    const at = (event.clientX - box.left) / scale;
    if (at < left || at > right) return hide();
    const step = nearest(first + (at - left) / (right - left) * (last - first));
    const place = left + (step - first) / (last - first) * (right - left);
    cursor.setAttribute("d", `M${place} 12V194`);
    const told = Object.entries(lines).map(([name, points]) => [name, points.find(([each]) => each === step)?.[1]]);
    const some = told.filter(([, value]) => value !== undefined && value !== null).slice(0, 9);
    tip.replaceChildren(element("strong", {}, `step ${step.toLocaleString("en")}`),
      ...some.flatMap(([name, value]) => [document.createElement("br"), `${name} ${value}`]));
    tip.hidden = false;
    const room = picture.parentElement.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.min(Math.max(place * scale + 12, 0), room)}px`;
    tip.style.top = `${picture.offsetTop || box.top - picture.parentElement.getBoundingClientRect().top}px`;
  });
}
document.querySelectorAll("svg[data-lines]").forEach(chart);

// ---- every answer
const PAGE = 20;
const [MODEL, SPLIT, WAY, LABEL, SAID, SURE, ID, QUESTION, TEXT, PROBLEM, ERRORS] = Array(11).keys();
const CHOICES = [["model", MODEL], ["split", SPLIT], ["way", WAY], ["label", LABEL], ["said", SAID]];
const NO_FORMAT = "(no format)";
let table = null, markers = null, found = [], page = 0;

const string = number => number < 0 ? "" : table.strings[number];
const name = (key, number) => number < 0 ? NO_FORMAT : table.names[key][number];

function badge(label) {
  return element("span", {class: `badge ${/^[A-Z]+$/.test(label) ? label : "PROBLEM"}`}, label);
}

function fill(select, first, values) {
  select.append(element("option", {value: ""}, first), ...values.map(([value, text]) => element("option", {value}, text)));
}

function choose() {
  const text = by("f-text").value.trim().toLowerCase();
  const wanted = CHOICES.map(([key, column]) => [by(`f-${key}`).value, column]).filter(([value]) => value !== "");
  const error = by("f-error").value;
  const match = text && table.strings.map(each => each.toLowerCase().includes(text));
  const holds = number => number >= 0 && match[number];
  found = table.rows.filter(row =>
    wanted.every(([value, column]) => row[column] === Number(value))
    && (error === "" || (error === "any" ? row[ERRORS] : row[ERRORS] >> Number(error) & 1))
    && (!text || holds(row[QUESTION]) || holds(row[TEXT]) || holds(row[ID]) || holds(row[PROBLEM])));
  page = 0;
  show();
}

function marked(text, wanted) {
  const parts = [], low = text.toLowerCase();
  let from = 0;
  for (let at = wanted ? low.indexOf(wanted) : -1; at >= 0; at = low.indexOf(wanted, from)) {
    parts.push(text.slice(from, at), element("mark", {}, text.slice(at, at + wanted.length)));
    from = at + wanted.length;
  }
  return [...parts, text.slice(from)];
}

function tagged(text, wanted) {
  if (!table.markers.length) return marked(text, wanted);
  return text.split(markers).flatMap(part => table.markers.includes(part)
    ? [element("span", {class: "tag"}, part), ...(part.startsWith("</") ? ["\n"] : [])]
    : marked(part, wanted));
}

function shown(row) {
  const wanted = by("f-text").value.trim().toLowerCase();
  const verdict = element("p", {class: "verdict"}, ...(row[LABEL] < 0 ? [] : [badge(name("label", row[LABEL])), " → ", badge(name("said", row[SAID]))]));
  table.errors.forEach((error, at) => { if (row[ERRORS] >> at & 1) verdict.append(" ", element("span", {class: "error"}, error)); });
  const made = element("article", {class: "row"}, verdict,
    element("p", {class: "question", lang: "ja"}, ...marked(string(row[QUESTION]), wanted)),
    element("pre", {lang: "ja"}, ...tagged(string(row[TEXT]) || "(nothing)", wanted)));
  if (row[PROBLEM] >= 0) made.append(element("p", {class: "quiet"}, string(row[PROBLEM])));
  const facts = [name("model", row[MODEL]), name("split", row[SPLIT]), name("way", row[WAY])];
  if (row[SURE] !== null) facts.push(`confidence ${row[SURE].toFixed(2)}`);
  made.append(element("p", {class: "quiet"}, `${facts.join(" · ")} · ${string(row[ID])}`));
  return made;
}

function show() {
  const from = page * PAGE, rows = found.slice(from, from + PAGE);
  by("rows").replaceChildren(...rows.map(shown));
  const count = found.length.toLocaleString("en");
  by("count").textContent = found.length ? `${(from + 1).toLocaleString("en")}–${(from + rows.length).toLocaleString("en")} of ${count} answers` : "no answer is like that";
  by("back").disabled = page === 0;
  by("on").disabled = from + PAGE >= found.length;
}

function turn(by_pages) {
  page += by_pages;
  show();
  by("pager").scrollIntoView({block: "start"});
}

function index(key, value) {
  return value === "" ? "" : String(value === NO_FORMAT ? -1 : table.names[key].indexOf(value));
}

function follow(filter) {
  const [model, split, way, label, said] = filter.split("|");
  for (const [key, value] of Object.entries({model, split, way, label, said})) by(`f-${key}`).value = index(key, value);
  by("f-text").value = by("f-error").value = "";
  choose();
  by("samples").scrollIntoView();
}

function start() {
  table = JSON.parse(by("data").textContent);
  markers = new RegExp(`(${table.markers.map(each => each.replace(/[^\w\s]/g, "\\$&")).join("|")})`);
  const titles = {model: "all models", split: "all splits", way: "every way", label: "any class", said: "any class"};
  for (const [key] of CHOICES) {
    const values = table.names[key].map((text, at) => [at, text]);
    fill(by(`f-${key}`), titles[key], key === "said" ? [...values, [-1, NO_FORMAT]] : values);
  }
  fill(by("f-error"), "right or wrong", [["any", "any error"], ...table.errors.map((text, at) => [at, text])]);
  by("filters").hidden = by("pager").hidden = false;
  let waiting = 0;
  by("filters").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(choose, 120); });
  by("filters").addEventListener("submit", event => event.preventDefault());
  by("back").addEventListener("click", () => turn(-1));
  by("on").addEventListener("click", () => turn(1));
  document.addEventListener("click", event => {
    const cell = event.target.closest("[data-filter]");
    if (!cell || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    follow(cell.dataset.filter);
  });
  choose();
}
if (by("filters")) start();
