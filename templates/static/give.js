// The button says what will happen: "Give $27 a month". Nothing else depends on this.
(() => {
  const form = document.getElementById("give"), other = form.elements.other;
  const buttons = [...document.querySelectorAll("[data-once]")].map(button => [button, button.innerHTML]);
  // As the server reads it: "1000", "$1,000" and "1,000.00" are all $1,000; anything else is nothing.
  const read = typed => {
    const found = /^(?:\$ ?)?(\d{1,9}|[1-9]\d{0,2}(?:,\d{3}){1,2})(?:\.(\d\d?))?$/.exec(typed.trim());
    const sum = found && Number(found[1].replaceAll(",", "")), rest = found && (found[2] || "").padEnd(2, "0");
    return found && sum + rest > 0 && "$" + sum.toLocaleString("en-US") + (rest > 0 ? "." + rest : "");
  };
  const say = () => {
    const chosen = form.querySelector("[name=amount]:checked");
    const sum = chosen && (chosen.value === "other" ? read(other.value) : chosen.nextElementSibling.textContent);
    const rhythm = form.querySelector("#monthly:checked") ? "monthly" : "once";
    for (const [button, plain] of buttons) button.innerHTML = sum ? button.dataset[rhythm].replace("{}", () => sum) : plain;
  };
  form.addEventListener("input", say);
  form.addEventListener("click", event => event.detail && event.target.value === "other" && other.focus());
  addEventListener("pageshow", say);
})();
