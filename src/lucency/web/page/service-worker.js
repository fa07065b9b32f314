// lucency page. Keeps every file of one version, so that films are read without a network. It never sees a film:
// only requests for this page's own files pass here, and what it lets through carries the page's policy.

const VERSION = "VERSION";
const FILES = ["FILES"];
const POLICY = "POLICY";
const PREFIX = `lucency ${registration.scope} `;
const KEPT = PREFIX + VERSION;

// One function of one relaxed SIMD instruction: LiteRT.js asks the same before it chooses a runtime.
const RELAXED = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253,
  128, 2, 11,
);
const runtime = WebAssembly.validate(RELAXED) ? "litert_wasm_internal" : "litert_wasm_compat_internal";

addEventListener("install", (event) => {
  const files = [...FILES, `litert/${runtime}.js`, `litert/${runtime}.wasm`];
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll(files.map((file) => new Request(file, { cache: "no-cache" })))));
});

addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== KEPT) await caches.delete(name);
    await clients.claim();
  })());
});

addEventListener("message", (event) => {
  if (event.data === "now") skipWaiting();
});

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  if (new URL(request.url).origin !== location.origin) return Response.error();
  const asked = new URL(request.url).pathname === new URL("index.html", registration.scope).pathname ? registration.scope : request;
  const kept = await (await caches.open(KEPT)).match(asked, { ignoreSearch: true });
  return withPolicy(kept ?? (await fetched(request)));
}

/** From the network; a codec, which is needed now and then, is kept from then on. */
async function fetched(request) {
  const response = await fetch(request);
  if (response.ok && request.url.startsWith(`${registration.scope}codecs/`)) await (await caches.open(KEPT)).put(request, response.clone());
  return response;
}

function withPolicy(response) {
  const headers = new Headers(response.headers);
  headers.set("Content-Security-Policy", POLICY);
  headers.set("X-Content-Type-Options", "nosniff");
  headers.set("Referrer-Policy", "no-referrer");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
