"use strict";
(() => {
  const root = document.documentElement, main = document.getElementById("run");
  const by = (id) => document.getElementById(id);
  const find = by("find"), hits = by("hits"), show = by("show");
  root.classList.add("js");

  // Dark or light: what the system says, until the reader says otherwise.
  const stored = (value) => {
    try {
      if (value === undefined) return localStorage.getItem("agent-host-theme");
      localStorage.setItem("agent-host-theme", value);
    } catch { /* a browser may keep nothing for a file */ }
    return null;
  };
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const kept = stored();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  by("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    stored(root.dataset.theme);
  });

  const fold = (open) => {
    for (const one of main.querySelectorAll("details")) one.open = open;
  };
  by("expand").addEventListener("click", () => fold(true));
  by("collapse").addEventListener("click", () => fold(false));
  const unfold = (node) => {
    for (let at = node; at && at !== document.body; at = at.parentElement)
      if (at.tagName === "DETAILS") at.open = true;
  };

  // Search: the text of each smallest block, joined, so that a hit may span bold and plain.
  const LEAF = "pre,p,li,td,th,h1,h2,h3,h4,summary,.meta";
  const MOST = 5000;
  let blocks = null, found = [], now = -1, timer = 0;
  const read = () => {
    const walk = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
    const all = [];
    let last = null;
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      if (node.parentElement.closest(".copy")) continue;
      const leaf = node.parentElement.closest(LEAF) || node.parentElement;
      if (!last || last.leaf !== leaf) all.push(last = {leaf, text: "", nodes: [], starts: []});
      last.starts.push(last.text.length);
      last.nodes.push(node);
      last.text += node.data;
    }
    return all;
  };
  const point = (block, offset, end) => {
    let low = 0, high = block.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (end ? block.starts[middle] < offset : block.starts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return [block.nodes[low], offset - block.starts[low]];
  };
  const paint = (name, ranges) => {
    if (!window.CSS || !CSS.highlights) return;
    if (ranges.length) CSS.highlights.set(name, new Highlight(...ranges));
    else CSS.highlights.delete(name);
  };
  const seen = (leaf) => {
    const article = leaf.closest("article"), call = leaf.closest(".call"), want = main.dataset.show;
    if (want === "all" || !article) return true;
    if (!article.classList.contains("has-" + want)) return false;
    if (!call || want === "call") return true;
    return call.classList.contains(want === "error" ? "failed" : "asked");
  };
  const go = (step) => {
    if (!found.length) return;
    now = (now + step + found.length) % found.length;
    const range = found[now], at = range.startContainer.parentElement;
    unfold(at);
    paint("now", [range]);
    hits.value = `${now + 1} of ${found.length}${found.length === MOST ? "+" : ""}`;
    at.scrollIntoView({block: "center", behavior: "auto"});
    const box = at.closest("pre");
    if (box) box.scrollTop += range.getBoundingClientRect().top - box.getBoundingClientRect().top - 40;
  };
  const search = () => {
    const want = find.value;
    clearTimeout(timer);
    timer = 0;
    found = [];
    now = -1;
    paint("hits", []);
    paint("now", []);
    hits.value = "";
    if (!want) return;
    const looked = new RegExp(want.replace(/[.*+?^${}()|[\]\\\/-]/g, (c) => "\\" + c), "giu");
    blocks = blocks || read();
    for (const block of blocks) {
      if (!seen(block.leaf)) continue;
      for (const hit of block.text.matchAll(looked)) {
        const range = document.createRange();
        range.setStart(...point(block, hit.index, false));
        range.setEnd(...point(block, hit.index + hit[0].length, true));
        found.push(range);
        if (found.length === MOST) break;
      }
      if (found.length === MOST) break;
    }
    paint("hits", found);
    if (found.length) go(1);
    else hits.value = "no hits";
  };
  find.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 120); });
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      if (timer || now < 0) search(); else go(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") { find.value = ""; search(); find.blur(); }
  });
  by("next").addEventListener("click", () => go(1));
  by("previous").addEventListener("click", () => go(-1));

  show.addEventListener("change", () => {
    main.dataset.show = show.value;
    by("nothing").hidden = show.value === "all" || !!main.querySelector(".has-" + show.value);
    search();
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest && event.target.closest(".copy");
    if (!button) return;
    const text = button.nextElementSibling.textContent;
    let done = true;
    try { await navigator.clipboard.writeText(text); } catch {
      const range = document.createRange(), chosen = getSelection();
      range.selectNodeContents(button.nextElementSibling);
      chosen.removeAllRanges();
      chosen.addRange(range);
      done = document.execCommand("copy");
    }
    button.textContent = done ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  const turn = (step) => {
    const all = [...main.children].filter((one) => one.id && one.offsetParent !== null);
    const here = all.findIndex((one) => one.getBoundingClientRect().top > 80);
    const at = step > 0 ? (here < 0 ? -1 : here) : (here < 0 ? all.length : here) - 2;
    const next = all[at];
    if (next) { next.querySelector("h2 a").focus({preventScroll: true}); next.scrollIntoView(); }
  };
  const keys = {
    "/": () => find.focus(), n: () => go(1), p: () => go(-1), N: () => go(-1),
    j: () => turn(1), k: () => turn(-1), e: () => fold(true), c: () => fold(false),
    t: () => by("theme").click(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  const arrive = () => {
    const target = location.hash && by(location.hash.slice(1));
    if (target) { unfold(target); target.scrollIntoView(); }
  };
  addEventListener("hashchange", arrive);
  arrive();
  addEventListener("beforeprint", () => fold(true));
})();
