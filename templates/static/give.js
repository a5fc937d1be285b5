// The button says what will happen: "Give $27 a month". Nothing else depends on this.
(() => {
  const form = document.getElementById("give"), other = form.elements.other;
  const buttons = [...document.querySelectorAll("[data-once]")].map(button => [button, button.innerHTML]);
  const say = () => {
    const chosen = form.querySelector("[name=amount]:checked"), typed = chosen && chosen.value === "other";
    const sum = typed ? /^\d{1,6}(\.\d\d?)?$/.test(other.value.trim()) && "$" + other.value.trim() : chosen && chosen.nextElementSibling.textContent;
    const rhythm = form.querySelector("#monthly:checked") ? "monthly" : "once";
    for (const [button, plain] of buttons) button.innerHTML = sum ? button.dataset[rhythm].replace("{}", sum) : plain;
  };
  form.addEventListener("input", say);
  form.addEventListener("click", event => event.detail && event.target.value === "other" && other.focus());
  addEventListener("pageshow", say);
})();
