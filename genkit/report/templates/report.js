"use strict";
(() => {
  const contents = JSON.parse(document.getElementById("contents").textContent);
  const find = (id) => document.getElementById(id);
  const count = (number) => number.toLocaleString("en");
  const short = (value) => {
    if (value === null) return "not finite";
    return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  };

  // --- previews: one slider over every step that any run drew at ------------------------------------------------

  const showPreviews = () => {
    const slider = find("step");
    if (!slider) return;
    const steps = [...new Set(contents.previews.flat().map((frame) => frame.step))].sort((a, b) => a - b);
    const runs = contents.previews.map((frames, number) => {
      const place = find(`frame-${number}`);
      // The last preview stands in the page as it was written; the others are decoded when they are looked at.
      return { frames, place, last: [...place.childNodes], shown: frames.length - 1, made: [] };
    });
    const address = (part) => {
      const bytes = Uint8Array.from(atob(JSON.parse(find(`m${part.id}`).textContent)), (one) => one.charCodeAt(0));
      return URL.createObjectURL(new Blob([bytes], { type: part.type }));
    };
    const element = (part, step, title, made) => {
      const words = `at step ${step}, ${title}`;
      if (part.note !== undefined) {
        return Object.assign(document.createElement("p"), { className: "note", textContent: part.note });
      }
      if (part.kind === "text") {
        const text = document.createElement("pre");
        Object.assign(text, { className: "text", tabIndex: 0, textContent: JSON.parse(find(`m${part.id}`).textContent) });
        text.setAttribute("role", "group");
        text.setAttribute("aria-label", `Text ${words}`);
        return text;
      }
      const source = address(part);
      made.push(source);
      if (part.kind === "sound") {
        const sound = Object.assign(document.createElement("audio"), { controls: true, preload: "metadata", src: source });
        sound.setAttribute("aria-label", `Sound ${words}`);
        return sound;
      }
      const picture = document.createElement("img");
      if (part.width) Object.assign(picture, { width: part.width, height: part.height });
      const what = part.label === undefined ? "Preview" : part.label[0].toUpperCase() + part.label.slice(1);
      return Object.assign(picture, { alt: `${what} ${words}`, src: source });
    };
    const show = (position) => {
      const step = steps[position];
      slider.value = position;
      const text = `step ${count(step)} (${position + 1} of ${steps.length})`;
      find("at").textContent = text;
      slider.setAttribute("aria-valuetext", text);
      find("before").disabled = position === 0;
      find("after").disabled = position === steps.length - 1;
      runs.forEach((run, number) => {
        let index = run.frames.length - 1;
        while (index > 0 && run.frames[index].step > step) index -= 1;
        if (index < 0 || index === run.shown) return;
        const frame = run.frames[index];
        const made = [];
        const nodes = index === run.frames.length - 1
          ? run.last
          : frame.parts.flatMap((part) => [
            ...(part.label === undefined ? [] : [Object.assign(document.createElement("p"), { className: "label", textContent: part.label })]),
            element(part, frame.step, contents.titles[number], made),
          ]);
        run.place.replaceChildren(...nodes);
        run.made.forEach((source) => URL.revokeObjectURL(source));
        run.made = made;
        run.shown = index;
        run.place.parentElement.querySelector(".stands").textContent = `step ${count(frame.step)}`;
      });
    };
    slider.max = steps.length - 1;
    slider.addEventListener("input", () => show(Number(slider.value)));
    find("before").addEventListener("click", () => show(Math.max(0, Number(slider.value) - 1)));
    find("after").addEventListener("click", () => show(Math.min(steps.length - 1, Number(slider.value) + 1)));
    show(steps.length - 1);
  };

  // --- curves: all charts share one range of steps ---------------------------------------------------------------

  const SPACE = { left: 52, right: 10, top: 10, bottom: 22 };
  const svg = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const ticks = (low, high, wanted) => {
    const raw = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(raw));
    const unit = [1, 2, 5, 10].find((one) => one * power >= raw) * power;
    const found = [];
    for (let at = Math.ceil(low / unit - 1e-9); at * unit <= high + unit * 1e-9; at += 1) found.push(at * unit);
    return found.map((value) => [value, label(value, unit)]);
  };
  // As many digits as tell a tick from its neighbour.
  const label = (value, unit) => {
    const [size, scale, name] = Math.abs(value) >= 1e6 ? [unit / 1e6, 1e6, "M"] : Math.abs(value) >= 1e4 ? [unit / 1e3, 1e3, "k"] : [unit, 1, ""];
    if (value !== 0 && unit < 1e-4) return value.toExponential(Math.max(0, Math.floor(Math.log10(Math.abs(value) / unit) + 1e-9)));
    return `${Number((value / scale).toFixed(Math.max(0, -Math.floor(Math.log10(size) + 1e-9))))}${name}`;
  };

  const all = Object.values(contents.figures).flat();
  const ends = all.flatMap((figure) => figure.lines.flatMap((line) => [line.x[0], line.x[line.x.length - 1]]));
  const whole = ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 1];
  if (whole[0] === whole[1]) whole[1] += 1;
  let range = [...whole];
  const charts = [];
  const redraw = () => {
    charts.forEach((chart) => chart.draw());
    const zoomed = range[0] !== whole[0] || range[1] !== whole[1];
    find("range").textContent = `steps ${count(Math.round(range[0]))} to ${count(Math.round(range[1]))}`;
    find("zoom-all").disabled = find("zoom-out").disabled = !zoomed;
  };
  const look = (low, high) => {
    const width = Math.min(whole[1] - whole[0], Math.max(high - low, (whole[1] - whole[0]) / 5000, 1e-6));
    const from = Math.min(Math.max(low, whole[0]), whole[1] - width);
    range = [from, from + width];
    redraw();
  };
  const zoom = (factor, about = (range[0] + range[1]) / 2) =>
    look(about - (about - range[0]) * factor, about + (range[1] - about) * factor);

  const makeChart = (figure, parent) => {
    const box = Object.assign(document.createElement("figure"), { className: "chart" });
    const picture = svg("svg", { tabindex: 0, role: "img", "aria-describedby": "curves-help" });
    const output = document.createElement("output");
    box.append(Object.assign(document.createElement("figcaption"), { textContent: figure.title }), picture, output);
    parent.append(box);
    const several = contents.titles.length > 1;
    const named = (line, text) => (several ? `${contents.titles[line.run]}: ${text}` : text);
    const summary = figure.lines
      .map((line) => {
        const known = line.y.filter((value) => value !== null);
        const last = `last ${short(line.y[line.y.length - 1])}`;
        if (!known.length) return named(line, last);
        const [low, high] = known.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
        return named(line, `${last}, lowest ${short(low)}, highest ${short(high)}`);
      })
      .join("\n");
    picture.setAttribute("aria-label", `${figure.title}. ${summary.replaceAll("\n", "; ")}.`);
    output.textContent = summary;
    let cursor = null;
    let dragged = null;
    let scale = null;

    const limits = () => {
      if (figure.share) return [0, 1];
      let [low, high] = [Infinity, -Infinity];
      const meet = (value) => {
        if (value !== null && value !== undefined) [low, high] = [Math.min(low, value), Math.max(high, value)];
      };
      figure.lines.forEach((line) =>
        line.x.forEach((x, i) => {
          const near = x >= range[0] || (line.x[i + 1] ?? -Infinity) >= range[0];
          if (near && (x <= range[1] || (line.x[i - 1] ?? Infinity) <= range[1])) {
            meet(line.y[i]);
            meet(line.floor[i]);
          }
        }),
      );
      if (low > high) return [0, 1];
      const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
      return [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
    };
    const path = (line, values) => {
      let text = "";
      let pen = false;
      values.forEach((value, i) => {
        if (value === null || value === undefined) {
          pen = false;
          return;
        }
        text += `${pen ? "L" : "M"}${scale.x(line.x[i]).toFixed(1)} ${scale.y(value).toFixed(1)}`;
        pen = true;
      });
      return text;
    };
    const draw = () => {
      const width = picture.clientWidth;
      const height = picture.clientHeight;
      if (!width) return;
      const [low, high] = limits();
      const inner = [width - SPACE.left - SPACE.right, height - SPACE.top - SPACE.bottom];
      scale = {
        x: (step) => SPACE.left + ((step - range[0]) / (range[1] - range[0])) * inner[0],
        y: (value) => SPACE.top + (1 - (value - low) / (high - low)) * inner[1],
        step: (pixels) => range[0] + (Math.min(Math.max(pixels - SPACE.left, 0), inner[0]) / inner[0]) * (range[1] - range[0]),
      };
      const parts = [];
      const clip = `clip-${charts.indexOf(chart)}`;
      const cut = svg("clipPath", { id: clip });
      cut.append(svg("rect", { x: SPACE.left, y: 0, width: inner[0] + 4, height }));
      parts.push(cut);
      ticks(low, high, 4).forEach(([value, words]) => {
        const y = scale.y(value);
        parts.push(svg("line", { class: "grid", x1: SPACE.left, x2: width - SPACE.right, y1: y, y2: y }));
        const text = svg("text", { class: "tick", x: SPACE.left - 6, y: y + 4, "text-anchor": "end" });
        text.textContent = words;
        parts.push(text);
      });
      ticks(range[0], range[1], Math.max(2, Math.floor(inner[0] / 80))).forEach(([step, words]) => {
        const x = scale.x(step);
        const text = svg("text", { class: "tick", x, y: height - 5, "text-anchor": x > width - 24 ? "end" : "middle" });
        text.textContent = words;
        parts.push(text);
      });
      const lines = svg("g", { "clip-path": `url(#${clip})` });
      figure.lines.forEach((line) => {
        const own = `run-${line.run % 6}`;
        if (line.floor.length) {
          // A floor known at one evaluation alone is drawn as the level it is.
          const known = line.floor.filter((value) => value !== null);
          const level = known.length === 1 ? `M${SPACE.left} ${scale.y(known[0])}H${width - SPACE.right}` : path(line, line.floor);
          lines.append(svg("path", { class: `floor ${own}`, d: level }));
        }
        lines.append(svg("path", { class: `line ${own}`, d: path(line, line.y) }));
        if (line.x.length <= 12) {
          line.x.forEach((step, i) => {
            if (line.y[i] !== null) lines.append(svg("circle", { class: `dot ${own}`, r: 2.5, cx: scale.x(step), cy: scale.y(line.y[i]) }));
          });
        }
      });
      parts.push(lines);
      if (dragged) {
        const [from, to] = [...dragged].sort((a, b) => a - b);
        parts.push(svg("rect", { class: "chosen", x: from, y: SPACE.top, width: to - from, height: inner[1] }));
      }
      if (cursor !== null) {
        const x = scale.x(cursor);
        parts.push(svg("line", { class: "cursor", x1: x, x2: x, y1: SPACE.top, y2: height - SPACE.bottom }));
      }
      picture.replaceChildren(...parts);
    };
    const read = (step) => {
      const texts = figure.lines.map((line) => {
        let best = 0;
        line.x.forEach((x, i) => {
          if (Math.abs(x - step) < Math.abs(line.x[best] - step)) best = i;
        });
        const floor = line.floor[best] ?? null;
        return [line.x[best], named(line, `${short(line.y[best])}${floor === null ? "" : `, real ${short(floor)}`}`)];
      });
      cursor = texts.reduce((near, [at]) => (Math.abs(at - step) < Math.abs(near - step) ? at : near), texts[0][0]);
      output.textContent = `step ${count(cursor)}${several ? "\n" : ": "}${texts.map(([, text]) => text).join("\n")}`;
      draw();
    };
    const leave = () => {
      cursor = null;
      output.textContent = summary;
      draw();
    };
    const at = (event) => event.clientX - picture.getBoundingClientRect().left;

    picture.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      dragged = [at(event), at(event)];
      picture.setPointerCapture(event.pointerId);
    });
    picture.addEventListener("pointermove", (event) => {
      if (dragged) dragged[1] = Math.min(Math.max(at(event), SPACE.left), picture.clientWidth - SPACE.right);
      read(scale.step(at(event)));
    });
    picture.addEventListener("pointerup", () => {
      const chosen = dragged;
      dragged = null;
      if (chosen && Math.abs(chosen[1] - chosen[0]) > 6) {
        const [low, high] = chosen.map((pixels) => scale.step(pixels)).sort((a, b) => a - b);
        look(low, high);
      } else draw();
    });
    picture.addEventListener("pointercancel", () => {
      dragged = null;
      leave();
    });
    picture.addEventListener("pointerleave", () => {
      if (!dragged) leave();
    });
    picture.addEventListener("dblclick", () => look(...whole));
    picture.addEventListener("blur", leave);
    picture.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const width = range[1] - range[0];
      if (way && event.shiftKey) look(range[0] + way * width * 0.2, range[1] + way * width * 0.2);
      else if (way) {
        const known = [...new Set(figure.lines.flatMap((line) => line.x))]
          .filter((x) => x >= range[0] && x <= range[1])
          .sort((a, b) => a - b);
        const next = cursor === null
          ? (way > 0 ? known[0] : known[known.length - 1])
          : way > 0 ? known.find((x) => x > cursor) : known.filter((x) => x < cursor).pop();
        if (next !== undefined) read(next);
      } else if (event.key === "+" || event.key === "=") zoom(0.5, cursor ?? undefined);
      else if (event.key === "-") zoom(2, cursor ?? undefined);
      else if (event.key === "0" || event.key === "Escape") look(...whole);
      else return;
      event.preventDefault();
    });
    const chart = { draw };
    charts.push(chart);
    new ResizeObserver(draw).observe(picture);
  };

  const showCurves = () => {
    if (!find("curves")) return;
    for (const place of document.querySelectorAll(".charts")) {
      contents.figures[place.dataset.group].forEach((figure) => makeChart(figure, place));
    }
    find("zoom-in").addEventListener("click", () => zoom(0.5));
    find("zoom-out").addEventListener("click", () => zoom(2));
    find("zoom-all").addEventListener("click", () => look(...whole));
    redraw();
  };

  // --- config: all keys, or what differs -------------------------------------------------------------------------

  const showSettings = () => {
    const box = find("differing");
    if (!box) return;
    const follow = () => find("settings").classList.toggle("narrowed", box.checked);
    box.addEventListener("change", follow);
    follow();
  };

  showPreviews();
  showCurves();
  showSettings();
})();
