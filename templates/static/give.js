// The button says what will happen: "Give $27 a month". Nothing else depends on this.
(function () {
  var form = document.getElementById("give");
  if (!form) return;
  var other = form.elements.other;
  function say() {
    var chosen = form.querySelector("[name=amount]:checked");
    var monthly = form.querySelector("#monthly:checked");
    var sum = chosen && (chosen.value === "other" ? /^\s*\d{1,6}(\.\d\d?)?\s*$/.test(other.value) && "$" + other.value.trim()
      : chosen.nextElementSibling.textContent);
    document.querySelectorAll("button[data-once]").forEach(function (button) {
      if (!button.plain) button.plain = button.innerHTML;
      if (sum) button.textContent = (monthly ? button.dataset.monthly : button.dataset.once).replace("{}", sum);
      else button.innerHTML = button.plain;
    });
  }
  form.addEventListener("input", say);
  form.addEventListener("click", function (event) {
    if (event.detail && event.target.value === "other" && event.target.name === "amount") other.focus();
  });
  window.addEventListener("pageshow", say);
  say();
})();
