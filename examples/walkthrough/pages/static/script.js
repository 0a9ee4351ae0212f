"use strict";
const shown = document.getElementById("call");
if (shown) {
  new EventSource("/events").addEventListener("call", (e) => { shown.innerHTML = e.data; });
}
