// Above the tables of operators: a field that leaves those rows whose text has all of its words.
document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("operator-filter");
  if (!place) return;
  const rows = [...document.querySelectorAll("article section section table tbody tr")].filter(
    (row) => row.querySelector("a")
  );
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Filter operators: name, domain, kind or what it does";
  input.setAttribute("aria-label", input.placeholder);
  const count = document.createElement("span");
  place.append(input, count);
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const domain = row.closest("section").querySelector("h2").textContent;
      const text = `${row.textContent} ${domain}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    for (const section of new Set(rows.map((row) => row.closest("section")))) {
      section.hidden = ![...section.querySelectorAll("tbody tr")].some((row) => !row.hidden);
    }
    count.textContent = words.length ? `${shown} of ${rows.length}` : `${rows.length} operators`;
  };
  input.addEventListener("input", apply);
  apply();
});
