(() => {
  const root = document.currentScript.closest(".flyteoptuna");
  const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const { columns, texts, top } = data;
  const size = 25;
  const count = columns[0].cells.length;
  const table = root.querySelector("table.trials");
  const heads = [...table.tHead.rows[0].cells];
  const names = heads.map((head) => head.querySelector("span").textContent);
  const make = (tag, text = "", name = "") =>
    Object.assign(document.createElement(tag), { textContent: text, className: name });

  // Six digits, as in the rest of the page.
  const digits = (x) =>
    Math.abs(x) >= 1e-4 && Math.abs(x) < 1e6 ? String(+x.toPrecision(6)) : (+x.toPrecision(6)).toExponential().replace("+", "");
  const show = (cell) =>
    cell === null ? "" : Array.isArray(cell) ? texts[cell[0]] : Number.isInteger(cell) ? String(cell) : digits(cell);

  // Where an output is, if a browser can open it.
  const target = (text) =>
    /^(https?|s3|gs|abfss?|file):\/\//.test(text) ? text : text.startsWith("/") ? "file://" + text.split("/").map(encodeURIComponent).join("/") : "";

  // The table: sorted, filtered, a page at a time. What is missing stands last, and texts stand after numbers.
  const infinite = { inf: Infinity, "-inf": -Infinity };
  const key = (cell) => (Array.isArray(cell) ? (infinite[texts[cell[0]]] ?? texts[cell[0]]) : cell);
  const compare = (a, b) =>
    typeof a === typeof b ? (typeof a === "string" ? a.localeCompare(b) : a < b ? -1 : +(a > b)) : typeof a === "number" ? -1 : 1;
  columns.forEach((column) => {
    column.style = column.kind === "state" ? "state" : column.cells.some((cell) => typeof key(cell) === "string") ? "t" : "n";
  });
  const all = [...Array(count).keys()];
  let sorted = -1, direction = 1, order = all, page = 0;

  const pager = root.querySelector(".pager");
  const [back, where, forth, filter] = [make("button", "\u2190"), make("span"), make("button", "\u2192"), make("input")];
  back.ariaLabel = "previous trials";
  forth.ariaLabel = "next trials";
  Object.assign(filter, { type: "search", placeholder: "Filter", ariaLabel: "show trials that hold this text" });
  pager.replaceChildren(filter, back, forth, where);

  const draw = () => {
    const shown = order.slice(page * size, (page + 1) * size);
    table.tBodies[0].replaceChildren(...shown.map((row) => {
      const line = make("tr", "", row < top ? "top" : "");
      for (const { kind, style, cells } of columns) {
        const text = show(cells[row]);
        const td = make("td", style === "t" ? "" : text, style);
        if (style === "t") td.append(make("div", text));
        if (kind === "output" && target(text)) td.firstChild.replaceChildren(Object.assign(make("a", text), { href: target(text) }));
        if (kind === "state") td.prepend(make("i", "", text));
        line.append(td);
      }
      return line;
    }));
    const to = page * size + shown.length;
    where.textContent = `${shown.length ? page * size + 1 : 0}\u2013${to} of ${order.length.toLocaleString("en")}`
      + (top && sorted < 0 && !filter.value ? ", the best first" : "");
    back.disabled = page === 0;
    forth.disabled = to >= order.length;
  };
  const arrange = () => {
    const words = filter.value.toLowerCase();
    order = all.filter((row) => !words || columns.some(({ cells }) => show(cells[row]).toLowerCase().includes(words)));
    if (sorted >= 0) {
      const keys = columns[sorted].cells.map(key);
      order.sort((a, b) => {
        if (keys[a] === null || keys[b] === null) return (keys[a] === null) - (keys[b] === null);
        return direction * compare(keys[a], keys[b]);
      });
    }
    heads.forEach((head, i) =>
      i === sorted ? (head.ariaSort = direction > 0 ? "ascending" : "descending") : head.removeAttribute("aria-sort"));
    page = 0;
    draw();
  };
  heads.forEach((head, i) => {
    head.className = columns[i].style;
    const button = make("button");
    button.append(head.querySelector("span"));
    head.append(button);
    button.onclick = () => {
      // Up, down, and back to the best first.
      if (sorted !== i) [sorted, direction] = [i, 1];
      else if (direction > 0) direction = -1;
      else sorted = -1;
      arrange();
    };
  });
  back.onclick = () => { page -= 1; draw(); };
  forth.onclick = () => { page += 1; draw(); };
  filter.oninput = arrange;
  arrange();

  // The charts: which trial is nearest, and what it is.
  const rowOf = new Map(columns[0].cells.map((number, row) => [number, row]));
  const tip = make("div", "", "tip");
  tip.hidden = true;
  root.append(tip);
  const about = (trial) => {
    const row = rowOf.get(trial);
    const lines = [`trial ${trial}`];
    columns.forEach(({ kind, cells }, i) => {
      if (row === undefined || !kind || cells[row] === null || lines.length > 12) return;
      if (kind === "state") lines[0] += `, ${show(cells[row])}`;
      else if (kind !== "attribute") lines.push(`${names[i]}: ${show(cells[row]).slice(0, 60)}`);
    });
    return lines.join("\n");
  };
  const pointsOf = (chart) => [...chart.querySelectorAll("path[data-trials]")].flatMap((path) => {
    const trials = path.dataset.trials.split(" ");
    const places = [...path.getAttribute("d").matchAll(/[ML](\d+) (\d+)(?:h(\d+))?/g)];
    return places.map(([, x, y, wide], i) => ({ x: +x, y: +y, wide: +(wide ?? 0), trial: +trials[Math.min(i, trials.length - 1)] }));
  });
  for (const chart of root.querySelectorAll("svg.chart")) {
    let points;
    const mark = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    mark.setAttribute("class", "mark");
    mark.setAttribute("r", 6);
    const leave = () => { mark.remove(); tip.hidden = true; };
    chart.addEventListener("pointerleave", leave);
    chart.addEventListener("pointermove", (event) => {
      points ??= pointsOf(chart);
      const box = chart.getBoundingClientRect();
      const [left, up] = [event.clientX - box.left, event.clientY - box.top];
      let nearest, least = 40 ** 2;
      for (const point of points) {
        const from = (point.x * box.width) / 1000;
        const x = Math.min(Math.max(left, from), from + (point.wide * box.width) / 1000);
        const y = (point.y * box.height) / 1000;
        const far = (x - left) ** 2 + (y - up) ** 2;
        if (far < least) [least, nearest] = [far, { x, y, trial: point.trial }];
      }
      if (!nearest) return leave();
      mark.setAttribute("cx", nearest.x);
      mark.setAttribute("cy", nearest.y);
      chart.append(mark);
      tip.textContent = about(nearest.trial);
      tip.hidden = false;
      const own = root.getBoundingClientRect();
      const room = own.width - tip.offsetWidth - 8;
      tip.style.left = `${Math.max(8, Math.min(box.left - own.left + nearest.x + 14, room))}px`;
      tip.style.top = `${box.top - own.top + nearest.y + 14}px`;
    });
  }
})();
