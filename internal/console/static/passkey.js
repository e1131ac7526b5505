// Passkeys: a form with data-passkey asks the authenticator, puts its answer
// into the form and sends that. The options come from the page or, freshly,
// from the API; what the answer is worth the server alone decides.
"use strict";
(() => {
  const forms = [...document.querySelectorAll("form[data-passkey]")];
  if (!forms.length) return;

  const bytes = (s) => Uint8Array.from(atob(s.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const list = (l) => (l || []).map((c) => ({ ...c, id: bytes(c.id) }));

  // Options and answers travel as WebAuthn Level 3 writes them in JSON.
  const forCreate = (o) => ({ ...o, challenge: bytes(o.challenge), user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: list(o.excludeCredentials) });
  const forGet = (o) => ({ ...o, challenge: bytes(o.challenge), allowCredentials: list(o.allowCredentials) });
  function answer(c) {
    const r = c.response, out = { id: c.id, rawId: text(c.rawId), type: c.type, authenticatorAttachment: c.authenticatorAttachment || undefined, clientExtensionResults: c.getClientExtensionResults(), response: { clientDataJSON: text(r.clientDataJSON) } };
    if (r.attestationObject) {
      out.response.attestationObject = text(r.attestationObject);
      out.response.transports = r.getTransports ? r.getTransports() : [];
      const key = r.getPublicKey && r.getPublicKey();
      if (key) out.response.publicKey = text(key);
    } else {
      out.response.authenticatorData = text(r.authenticatorData);
      out.response.signature = text(r.signature);
      if (r.userHandle) out.response.userHandle = text(r.userHandle);
    }
    return out;
  }

  const why = {
    NotAllowedError: "It was cancelled, took too long, or no passkey on this device fits. Nothing was changed.",
    InvalidStateError: "This authenticator is registered already. Use another one.",
    SecurityError: "This address is not the one that the passkeys belong to. Open the console by its own name.",
    NotSupportedError: "This authenticator cannot do what is needed. Use another one.",
    AbortError: "",
  };

  async function options(form) {
    if (form.dataset.options) return { options: JSON.parse(form.dataset.options) };
    const body = {};
    for (const name of (form.dataset.send || "").split(" ").filter(Boolean)) body[name] = form.elements[name].value;
    const res = await fetch(form.dataset.begin, {
      method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body), cache: "no-store",
    });
    const got = await res.json().catch(() => ({}));
    if (!res.ok) throw new Error(got.detail || `The server answered ${res.status}.`);
    return { options: got.options ? got.options.publicKey || got.options : got.publicKey || got, flow: got.flow || got.ceremony || got.id };
  }

  let conditional = null; // what waits for a passkey chosen from a field
  async function ask(form, mediation, signal) {
    const o = await options(form);
    const kind = form.dataset.passkey;
    const credential = kind === "create"
      ? await navigator.credentials.create({ publicKey: forCreate(o.options), signal })
      : await navigator.credentials.get({ publicKey: forGet(o.options), mediation, signal });
    if (form.elements.flow && o.flow) form.elements.flow.value = o.flow;
    form.elements.credential.value = JSON.stringify(answer(credential));
  }

  function tell(form, message) {
    const place = form.querySelector("[data-fault]");
    place.textContent = message;
    place.hidden = !message;
  }

  for (const form of forms) {
    const button = form.querySelector("[data-passkey-button]") || form.querySelector("button");
    if (!window.PublicKeyCredential) {
      button.disabled = true;
      tell(form, "This browser has no passkeys here: they need HTTPS, or this machine itself.");
      continue;
    }
    form.addEventListener("submit", async (e) => {
      if (form.elements.credential.value) return; // answered: the form goes its way
      if (e.submitter && e.submitter.dataset.passkeyButton === undefined && form.querySelector("[data-passkey-button]")) return;
      e.preventDefault();
      if (conditional) conditional.abort();
      tell(form, "");
      button.disabled = true;
      form.setAttribute("aria-busy", "true");
      try {
        await ask(form);
        form.submit();
      } catch (err) {
        tell(form, why[err.name] === undefined ? err.message : why[err.name]);
        button.disabled = false;
        button.focus();
      } finally {
        form.removeAttribute("aria-busy");
      }
    });
  }
  // A page that comes back from the browser's memory must not send an old answer.
  addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });

  const first = forms.find((f) => f.dataset.conditional !== undefined);
  if (first && window.PublicKeyCredential && PublicKeyCredential.isConditionalMediationAvailable) {
    (async () => {
      if (!await PublicKeyCredential.isConditionalMediationAvailable()) return;
      conditional = new AbortController();
      try {
        await ask(first, "conditional", conditional.signal);
        first.submit();
      } catch { /* the button says what goes wrong */ }
    })();
  }
})();
