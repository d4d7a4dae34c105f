// Draws /openapi.json. Whatever comes from it is set as text, never as markup.
"use strict";

const SCHEMAS = "#/components/schemas/";

/** An element with properties and children; texts become text nodes. */
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value !== undefined) key in made ? (made[key] = value) : made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== ""));
  return made;
}

/** A line of a description: `code` and **strong** become elements. */
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`") && part.length > 1) return element("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return element("strong", {}, part.slice(2, -2));
    return part;
  });
}

function paragraphs(text) {
  return (text ?? "").split("\n\n").filter(Boolean).map((part) => element("p", {}, inline(part)));
}

/** A link to a named schema. */
function reference(pointer) {
  const name = pointer.slice(SCHEMAS.length);
  return element("a", { href: `#schema-${name}` }, name);
}

/** What a schema takes, in a line: a link, a type, a list of either. */
function kind(schema) {
  if (!schema) return [];
  if (schema.$ref) return [reference(schema.$ref)];
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return joined(choices.map(kind).filter((choice) => choice.length), " or ");
  if (schema.allOf) return joined(schema.allOf.map(kind).filter((choice) => choice.length), " with ");
  const types = [schema.type ?? []].flat();
  if (types.includes("array")) {
    const inner = kind(schema.items);
    const others = types.filter((type) => type !== "array");
    return [...(inner.length ? ["list of ", ...inner] : ["list"]), others.length ? ` or ${others.join(" or ")}` : ""];
  }
  return [types.join(" or ") || "anything"];
}

function joined(parts, between) {
  return parts.flatMap((part, index) => (index ? [between, ...part] : part));
}

/** The bounds of a schema, in words. */
function bounds(schema) {
  const words = [];
  const allowed = schema.enum ?? schema.items?.enum;
  if (allowed) words.push(allowed.map((one) => JSON.stringify(one)).join(", "));
  const most = schema.maximum > Number.MAX_SAFE_INTEGER ? "2⁶⁴ − 1" : schema.maximum;
  if (schema.minimum !== undefined && most !== undefined) words.push(`${schema.minimum} to ${most}`);
  else if (schema.minimum > 0) words.push(`at least ${schema.minimum}`);
  if (schema.multipleOf) words.push(`a multiple of ${schema.multipleOf}`);
  if (schema.maxLength) words.push(`${schema.maxLength} characters at most`);
  if (schema.maxItems) words.push(`${schema.maxItems} at most`);
  if (schema.format && !["int32", "int64", "uint64", "double", "binary"].includes(schema.format)) words.push(schema.format);
  if (schema.default !== undefined) words.push(`${JSON.stringify(schema.default)} when nothing is said`);
  return words.join("; ");
}

/** The fields of an object, those that must be there first. */
function fields(schema) {
  const properties = Object.entries(schema.properties ?? {});
  if (!properties.length) return undefined;
  const required = new Set(schema.required ?? []);
  properties.sort(([a], [b]) => required.has(b) - required.has(a) || (a < b ? -1 : 1));
  return table(
    ["Field", "Type", "Meaning"],
    properties.map(([name, property]) => [
      [element("code", {}, name), required.has(name) ? element("span", { className: "need" }, " required") : ""],
      kind(property),
      meaning(property),
    ]),
  );
}

function meaning(schema) {
  const about = schema.description ?? (schema.oneOf ?? []).map((one) => one.description).find(Boolean) ?? "";
  const limits = bounds(schema);
  return [...inline(about), about && limits ? element("br") : "", limits ? element("span", { className: "soft" }, limits) : ""];
}

function table(heads, rows) {
  const head = element("tr", {}, heads.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map((cells) => element("tr", {}, cells.map((cell) => element("td", {}, cell))));
  // A table that is wider than the screen can be scrolled with the keyboard.
  const wide = { className: "table", tabIndex: 0, role: "region", "aria-label": heads.join(", ") };
  return element("div", wide, element("table", {}, element("thead", {}, head), element("tbody", {}, body)));
}

/** A schema with everything in it, but not what it refers to. */
function schemaBody(schema) {
  const parts = [...(schema.allOf ?? []), ...(schema.oneOf ?? []), ...(schema.anyOf ?? [])];
  if (!parts.length) return [fields(schema) ?? element("p", {}, kind(schema), " ", ...meaning({ ...schema, description: "" }))];
  const word = schema.allOf ? "All of" : "One of";
  return [
    element("p", { className: "soft" }, word),
    element("ul", {}, parts.map((part) => element("li", {}, part.properties ? "" : kind(part), " ", inline(part.description ?? ""), fields(part)))),
  ];
}

/** A shell line that makes the call. */
function curl(path, method, operation) {
  // A body makes curl send POST by itself.
  const isPlain = method === "get" || (method === "post" && operation.requestBody);
  const address = `${location.origin}${path.replace(/\{(\w+)\}/g, (_, name) => name.toUpperCase())}`;
  const parts = [isPlain ? `curl ${address}` : `curl -X ${method.toUpperCase()} ${address}`];
  const scheme = Object.keys(operation.security?.[0] ?? {})[0];
  if (scheme === "key") parts.push('-H "Authorization: Bearer $KEY"');
  if (scheme === "adminToken") parts.push('-H "Authorization: Bearer $ADMIN_TOKEN"');
  const contents = operation.requestBody?.content ?? {};
  const example = contents["application/json"]?.example;
  if (example !== undefined) {
    parts.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(example).replaceAll("'", "'\\''")}'`);
  } else if (contents["image/png"]) {
    parts.push("-H 'Content-Type: image/png'", "--data-binary @picture.png");
  }
  return parts.join(" \\\n  ");
}

function copied(text, label) {
  const button = element("button", { type: "button", className: "copy" }, "Copy");
  button.setAttribute("aria-label", `Copy the ${label}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Could not be copied";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  const shown = element("pre", { tabIndex: 0 }, element("code", {}, text));
  shown.setAttribute("aria-label", label);
  return element("div", { className: "example" }, shown, button);
}

function parameters(operation) {
  if (!operation.parameters?.length) return [];
  const rows = operation.parameters.map((one) => [
    [element("code", {}, one.name), one.required ? element("span", { className: "need" }, " required") : ""],
    one.in,
    meaning({ ...one.schema, description: one.description }),
  ]);
  return [element("h4", {}, "Parameters"), table(["Name", "Where", "Meaning"], rows)];
}

function body(operation) {
  const contents = Object.entries(operation.requestBody?.content ?? {});
  if (!contents.length) return [];
  const rows = contents.map(([type, content]) => [[element("code", {}, type)], kind(content.schema)]);
  const anything = contents.some(([, content]) => content.schema?.anyOf?.some((one) => one.description?.startsWith("Anything else")));
  const note = anything ? "Anything else is read too, and answered with `status` `error`." : "";
  return [element("h4", {}, "Body"), table(["Type", "Schema"], rows), element("p", { className: "soft" }, inline(note))];
}

function answers(operation, responses) {
  const rows = Object.entries(operation.responses).map(([status, response]) => {
    const found = response.$ref ? responses[response.$ref.split("/").pop()] : response;
    const contents = Object.entries(found.content ?? {});
    const shown = contents.map(([type, content]) => (type.endsWith("json") ? kind(content.schema) : [element("code", {}, type)]));
    return [[element("code", {}, status)], inline(found.description), joined(shown, ", or ")];
  });
  const isGood = ([[status]]) => status.textContent < "400";
  const bad = rows.filter((row) => !isGood(row));
  return [
    element("h4", {}, "Answers"),
    table(["Status", "Meaning", "Schema"], rows.filter(isGood)),
    bad.length ? element("details", {}, element("summary", {}, "When something is wrong"), table(["Status", "Meaning", "Schema"], bad)) : "",
  ];
}

function call(path, method, operation, responses) {
  const id = operation.operationId;
  return element(
    "article",
    { className: "call", id },
    element("h3", {}, element("a", { className: "anchor", href: `#${id}` }, operation.summary)),
    element("p", { className: "where" }, element("span", { className: "method" }, method.toUpperCase()), element("span", { className: "path" }, path)),
    paragraphs(operation.description),
    parameters(operation),
    body(operation),
    element("h4", {}, "Example"),
    copied(curl(path, method, operation), "curl line"),
    answers(operation, responses),
  );
}

/** Every code of a problem, from the answers that name it. */
function problems(description) {
  const found = Object.entries(description.components.responses).flatMap(([name, response]) =>
    [...response.description.matchAll(/(?:^|, or: )([^`]+) \(`(\w+)`\)/g)].map(([, title, code]) => [name.replace("Problem", ""), title, code]),
  );
  return found.map(([status, title, code]) =>
    element(
      "article",
      { className: "problem", id: code },
      element("h3", {}, element("a", { className: "anchor", href: `#${code}` }, element("code", {}, code))),
      element("p", {}, title, ". Status ", element("code", {}, status), "."),
    ),
  );
}

function draw(description) {
  const main = document.getElementById("content");
  const contents = document.getElementById("contents");
  const section = (id, title, about, children, links) => {
    main.append(element("section", { id, "aria-labelledby": `${id}-title` }, element("h2", { id: `${id}-title` }, title), paragraphs(about), children));
    contents.append(element("li", {}, element("a", { href: `#${id}` }, title), element("ul", {}, links)));
  };
  document.getElementById("title").textContent = `${description.info.title} API`;
  main.append(...paragraphs(description.info.description));

  const all = Object.entries(description.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, operation })));
  // The calls of enterprise servers repeat the others.
  all.sort((a, b) => a.path.includes("/enterprise/") - b.path.includes("/enterprise/"));
  for (const tag of description.tags) {
    const calls = all.filter(({ operation }) => operation.tags[0] === tag.name);
    section(
      `tag-${tag.name.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`,
      tag.name,
      tag.description,
      calls.map(({ path, method, operation }) => call(path, method, operation, description.components.responses)),
      calls.map(({ path, method, operation }) =>
        element("li", { title: operation.summary }, element("a", { href: `#${operation.operationId}` }, `${method.toUpperCase()} ${path}`)),
      ),
    );
  }
  section("problems", "Problems", "What went wrong, by its `code`, which keeps its name and its status for ever.", problems(description), []);
  const schemas = Object.entries(description.components.schemas);
  section(
    "schemas",
    "Schemas",
    "",
    schemas.map(([name, schema]) =>
      element(
        "article",
        { className: "schema", id: `schema-${name}` },
        element("h3", {}, element("a", { className: "anchor", href: `#schema-${name}` }, name)),
        paragraphs(schema.description),
        schemaBody(schema),
      ),
    ),
    [],
  );
}

/** Shows the calls that have every word, in the list and in the page. */
function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const link of document.querySelectorAll("#contents li li a")) {
    const call = document.getElementById(link.hash.slice(1));
    const about = `${link.textContent} ${call.querySelector("h3").textContent}`.toLowerCase();
    const isFound = words.every((word) => about.includes(word));
    link.parentElement.hidden = call.hidden = !isFound;
    count += isFound;
  }
  for (const part of document.querySelectorAll("#contents > li")) {
    const items = [...part.querySelectorAll("li")];
    part.hidden = items.length > 0 && items.every((item) => item.hidden);
    document.getElementById(part.querySelector("a").hash.slice(1)).hidden = part.hidden;
  }
  document.getElementById("found").textContent = words.length ? `${count} of the calls` : "";
}

/** Goes to what the address names; it was not there when the page was loaded. */
function go() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.hidden || target.closest("[hidden]")) {
    document.getElementById("filter").value = "";
    find("");
  }
  target.scrollIntoView();
}

async function start() {
  const state = document.getElementById("state");
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`it was answered ${answer.status}`);
    draw(await answer.json());
  } catch (error) {
    state.textContent = `The description could not be read (${error.message}). Load the page again in a while.`;
    return;
  }
  state.remove();
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => find(filter.value));
  addEventListener("hashchange", go);
  // The address that was asked for is one element to style and to scroll to only once it is there.
  if (location.hash) location.replace(location.hash);
  go();
}

start();
