// What the console's pages do in the browser. All of them work without it; with it, they keep themselves up to date,
// and change in place.
"use strict";

const REFRESH_MS = 3000;

const say = (text) => {
  document.getElementById("said").textContent = text;
};

const parse = (html) => new DOMParser().parseFromString(html, "text/html");

// Another session may have ended, or begun: what the server has to say then is a page of its own.
const isElsewhere = (response, path) => new URL(response.url).pathname !== path;

// Parts that are told to be live are exchanged for what the server makes of them now. Where one isn't there any more, the
// page has become another, as the list of zones with its first one.
const isBusy = (part) =>
  part.contains(document.activeElement) && document.activeElement !== document.body
    ? true
    : part.querySelector("details[open]") !== null;

const exchange = (page) => {
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh) location.reload();
    else if (!isBusy(part) && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
  }
};

const refresh = async () => {
  if (document.hidden || document.querySelector("dialog[open]")) return;
  const asked = location.href;
  try {
    const response = await fetch(asked, { headers: { accept: "text/html" } });
    const page = parse(await response.text());
    if (location.href !== asked) return; // somebody looks for something else by now
    if (isElsewhere(response, location.pathname)) location.reload();
    else if (response.ok) exchange(page);
  } catch {
    // the console is out of reach: the next time it may not be
  }
};

// Forms that are told to swap send themselves without leaving the page, of which they exchange one part.
const focusAgain = (part, name, value) => {
  if (document.activeElement && document.activeElement !== document.body) return; // it is elsewhere, and stays there
  const inputs = [...part.querySelectorAll("[name]")].filter((each) => each.name === name);
  const wanted = part.querySelector("[data-focus]") || inputs.find((each) => each.value === value) || inputs[0];
  (wanted || part).focus({ preventScroll: !wanted });
};

const typed = (part) => new Map([...part.querySelectorAll("input[id], select[id]")].map((each) => [each.id, each.value]));

// What was typed while the answer was on its way, and where. Returns the field that had the focus.
const keepTyped = (part, before, fresh) => {
  for (const [id, value] of typed(part)) {
    const same = fresh.querySelector(`#${CSS.escape(id)}`);
    if (same && value !== before.get(id)) same.value = value;
  }
  const active = part.querySelector("input[id]:focus, select[id]:focus");
  return active ? fresh.querySelector(`#${CSS.escape(active.id)}`) : null;
};

const keepScrolled = (part) => {
  const scrolled = [...part.querySelectorAll("[id]")].filter((each) => each.scrollTop);
  const places = scrolled.map((each) => [each.id, each.scrollTop]);
  return () => {
    for (const [id, top] of places) document.getElementById(id)?.scrollTo(0, top);
  };
};

// One after the other: each sends what the one before it has made of the page.
let swapping = Promise.resolve();
let underWay = 0;

const swap = async (form, submitter) => {
  const part = document.getElementById(submitter.dataset.swap);
  const body = new URLSearchParams(new FormData(form));
  body.append(submitter.name, submitter.value); // the button itself may be gone since
  const before = typed(part);
  form.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(form.action, { method: "POST", body });
    const fresh = parse(await response.text()).getElementById(part.id);
    if (!fresh) throw new Error("the part is gone");
    const active = keepTyped(part, before, fresh);
    const scrollAgain = keepScrolled(part);
    const pencil = active && fresh.querySelector(`[aria-controls="${active.parentElement.id}"]`);
    if (pencil) pencil.dataset.open = "";
    part.replaceWith(fresh);
    prepare(fresh);
    scrollAgain();
    if (active) active.focus();
    else focusAgain(fresh, submitter.name, submitter.value);
    say(fresh.dataset.said || "");
  } catch {
    form.removeAttribute("aria-busy");
    if (!submitter.isConnected) return say("That did not work. Try again.");
    submitter.removeAttribute("data-swap");
    form.requestSubmit(submitter);
    return;
  }
  form.removeAttribute("aria-busy");
};

document.addEventListener("submit", (event) => {
  if (event.submitter?.dataset.swap) {
    event.preventDefault();
    const { target, submitter } = event;
    underWay += 1;
    swapping = swapping.then(() => swap(target, submitter)).finally(() => (underWay -= 1));
  } else if (underWay) {
    event.preventDefault(); // what is under way is a part of it
    const { target, submitter } = event;
    swapping.then(() => target.requestSubmit(submitter));
  } else if (event.target.method === "post") {
    // sent once: a second press of the button would do it again
    setTimeout(() => {
      for (const button of event.target.querySelectorAll("button:enabled")) {
        button.disabled = true;
        button.dataset.sent = "";
      }
    });
  }
});

addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[data-sent]")) {
    button.disabled = false;
    delete button.dataset.sent;
  }
});

// Questions open in front of the page that they are about.
const ask = async (link) => {
  const response = await fetch(link.href, { headers: { accept: "text/html" } });
  const question = parse(await response.text()).querySelector("main .card");
  if (!question || !response.ok || isElsewhere(response, new URL(link.href).pathname)) {
    location.assign(link.href);
    return;
  }
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", question.querySelector("h1").textContent);
  dialog.append(question);
  document.body.append(dialog);
  for (const cancel of dialog.querySelectorAll("[data-cancel]")) {
    cancel.addEventListener("click", (event) => {
      event.preventDefault();
      dialog.close();
    });
  }
  dialog.addEventListener("close", () => {
    dialog.remove();
    link.closest("details.menu")?.removeAttribute("open");
    link.focus();
  });
  prepare(dialog);
  dialog.showModal();
};

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    ask(link).catch(() => location.assign(link.href));
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = event.target.closest?.("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Texts that are told to be copied. Without TLS browsers offer but the old way.
const copy = async (text) => {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  (document.querySelector("dialog[open]") || document.body).append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
};

const prepareCopy = (button) => {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const before = button.textContent;
    await copy(document.getElementById(button.dataset.copy).textContent);
    say("Copied");
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = before), 1500);
  });
};

// A field that follows another one while that is typed, until it is edited itself.
const derived = (text, pattern, most) =>
  text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[\u0300-\u036f]/g, "")
    .replace(new RegExp(pattern, "g"), "-")
    .replace(/-+/g, "-")
    .slice(0, most)
    .replace(/^-|-$/g, "");

const prepareDerived = (field) => {
  const source = document.getElementById(field.dataset.derivedFrom);
  const make = () => derived(source.value, field.dataset.derivedWithout, Number(field.maxLength));
  let follows = field.value === "" || field.value === make();
  field.addEventListener("input", () => (follows = field.value === ""));
  source.addEventListener("input", () => {
    if (follows) field.value = make();
  });
};

// What a switch turns on. It is sent all the same, so that it is still there when it is switched on again.
const prepareSwitch = (box) => {
  const part = document.getElementById(box.dataset.switches);
  const show = () => (part.hidden = !box.checked);
  box.addEventListener("change", show);
  show();
};

// A pencil shows the field that it is for.
const preparePencil = (button) => {
  const field = document.getElementById(button.getAttribute("aria-controls"));
  const shown = document.getElementById(button.dataset.hides);
  const open = (isOpen) => {
    field.hidden = !isOpen;
    shown.hidden = isOpen;
    button.hidden = isOpen;
  };
  const input = field.querySelector("input");
  open("open" in button.dataset || input.value !== input.defaultValue);
  button.addEventListener("click", () => {
    open(true);
    input.focus();
    input.select();
  });
};

// A filter that doesn't wait for its button.
const prepareFilter = (form) => {
  let timer = 0;
  form.addEventListener("change", (event) => {
    if (event.target.matches("select")) form.requestSubmit();
  });
  form.addEventListener("input", (event) => {
    if (!event.target.matches("input[type=search]")) return;
    clearTimeout(timer);
    timer = setTimeout(() => find(form), 250);
  });
};

const find = async (form) => {
  const url = new URL(form.action);
  url.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== "")).toString();
  history.replaceState(null, "", url);
  const response = await fetch(url, { headers: { accept: "text/html" } });
  const page = parse(await response.text());
  if (location.href !== url.href) return; // more was typed meanwhile
  if (isElsewhere(response, url.pathname)) return location.reload();
  exchange(page);
  say(document.querySelector("[data-live] caption")?.textContent || "Nothing found");
};

// A button that is pressed while somebody types into its field.
const prepareEager = (field) => {
  let timer = 0;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => field.form?.requestSubmit(document.getElementById(field.dataset.presses)), 250);
  });
};

// Enter presses the button that belongs to the field, and not the form's first.
const prepareEnter = (field) => {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    field.form.requestSubmit(document.getElementById(field.dataset.enter));
  });
};

const prepare = (part) => {
  for (const each of part.querySelectorAll("[data-copy]")) prepareCopy(each);
  for (const each of part.querySelectorAll("[data-derived-from]")) prepareDerived(each);
  for (const each of part.querySelectorAll("[data-switches]")) prepareSwitch(each);
  for (const each of part.querySelectorAll("[data-pencil]")) preparePencil(each);
  for (const each of part.querySelectorAll("[data-filter]")) prepareFilter(each);
  for (const each of part.querySelectorAll("[data-presses]")) prepareEager(each);
  for (const each of part.querySelectorAll("[data-enter]")) prepareEnter(each);
};

prepare(document);
if (document.querySelector("[data-live]")) setInterval(refresh, REFRESH_MS);
