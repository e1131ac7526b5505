"use strict";
// The ticket is in the fragment, which is sent to nobody; it is taken out of
// the address before anything else.
const ticket = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
fetch(location.pathname, { method: "POST", body: new URLSearchParams({ ticket }), credentials: "same-origin" })
  .then(async (answer) => {
    const text = await answer.text();
    if (answer.ok && text.startsWith("/") && !text.startsWith("//")) {
      location.replace(text);
    } else {
      document.getElementById("words").textContent = text;
    }
  })
  .catch(() => {
    document.getElementById("words").textContent = "The proxy does not answer.";
  });
