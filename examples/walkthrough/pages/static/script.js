// The pages work without this script. With it, a call does not load the page anew, and its stages
// appear while the API checks it.
"use strict";

const call = document.getElementById("call");
const says = document.getElementById("says");

// show replaces the last call. Only this server writes the HTML, and escapes all values in it.
function show(html) {
  call.innerHTML = html;
  call.classList.add("live");
}

// stream receives the call while it is under way. It is open only while the page is visible:
// browsers keep few connections to one server, and each tab would use one.
let stream;
function listen() {
  if (document.hidden) {
    stream?.close();
    stream = undefined;
  } else if (!stream) {
    stream = new EventSource("/events");
    stream.addEventListener("call", (event) => show(event.data));
  }
}

// send sends the form of a call, and takes the result from the page that the server responds with.
async function send(event) {
  const form = event.target;
  if (!form.matches("[data-live]")) return;
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form, event.submitter));
  form.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(form.action, { method: "POST", body });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const id of ["notices", "log"]) {
      const now = page.getElementById(id);
      if (now) document.getElementById(id)?.replaceChildren(...now.childNodes);
    }
    show(page.getElementById("call").innerHTML);
    says.textContent = call.querySelector("[data-says]")?.dataset.says ?? "";
    document.getElementById("watched").scrollIntoView({ block: "start" });
  } catch {
    form.removeAttribute("data-live"); // the browser sends the form itself
    form.requestSubmit(event.submitter);
  } finally {
    form.removeAttribute("aria-busy");
  }
}

if (call) {
  listen();
  document.addEventListener("visibilitychange", listen);
  document.addEventListener("submit", send);
}
