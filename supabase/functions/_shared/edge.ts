// Shared by both functions: access control, size limit, and the call of a SQL function.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Fields = { [name: string]: Json };

const MAX_BYTES = 16_384;
const RPC_MILLISECONDS = 8_000;
const MAX_ATTEMPTS = 2;

/** An error response; its message goes to the caller. */
export class RequestError extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
}

/** Serve POST requests that carry one of the project's keys and a JSON object. */
export function serve(answer: (fields: Fields, request: Request) => Promise<Json>): void {
  Deno.serve(async (request) => {
    try {
      if (request.method !== "POST") {
        throw new RequestError(405, "METHOD_NOT_ALLOWED", "Use POST.");
      }
      await requireProjectKey(request);
      return reply(200, await answer(await readFields(request), request));
    } catch (error) {
      if (error instanceof RequestError) return reply(error.status, { error: error.message, code: error.code });
      console.error("unexpected:", error instanceof Error ? error.name : typeof error);
      return reply(500, { error: "The function failed.", code: "INTERNAL" });
    }
  });
}

/** Call a SQL function over PostgREST as service_role; it must be safe to repeat. */
export async function rpc(name: string, fields: Fields): Promise<Json> {
  const url = Deno.env.get("SUPABASE_URL");
  const key = serviceKey();
  if (!url || !key) {
    throw new RequestError(503, "NOT_CONFIGURED", "SUPABASE_URL or the service role key is not set for this function.");
  }
  for (let left = MAX_ATTEMPTS - 1;; left--) {
    const response = await post(`${url.replace(/\/+$/, "")}/rest/v1/rpc/${name}`, key, fields);
    if (response !== null && (response.status < 500 || left === 0)) return await document(response);
    if (left === 0) throw new RequestError(504, "DATABASE", "The database does not respond.");
  }
}

/** Whether a given secret is one of those expected, compared in constant time. */
export async function isOneOf(given: string | null, expected: string[]): Promise<boolean> {
  const sent = await digest(given ?? "");
  let found = 0;
  for (const one of expected) {
    found |= Number(one !== "") & Number(equal(sent, await digest(one)));
  }
  return given !== null && found === 1;
}

async function requireProjectKey(request: Request): Promise<void> {
  const known = [
    Deno.env.get("SUPABASE_ANON_KEY") ?? "",
    Deno.env.get("SUPABASE_PUBLISHABLE_KEY") ?? "",
    ...named("SUPABASE_PUBLISHABLE_KEYS"),
  ];
  const bearer = request.headers.get("authorization")?.replace(/^bearer\s+/i, "") ?? null;
  const [byKey, byBearer] = [await isOneOf(request.headers.get("apikey"), known), await isOneOf(bearer, known)];
  if (!byKey && !byBearer) {
    throw new RequestError(401, "UNKNOWN_KEY", "Send the project's publishable or anon key as apikey.");
  }
}

async function readFields(request: Request): Promise<Fields> {
  const text = await readText(request);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new RequestError(400, "INVALID_BODY", "The body must be a JSON object.");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new RequestError(400, "INVALID_BODY", "The body must be a JSON object.");
  }
  return body as Fields;
}

async function readText(request: Request): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of request.body ?? []) {
    size += piece.byteLength;
    if (size > MAX_BYTES) throw new RequestError(413, "TOO_LARGE", `The body may have at most ${MAX_BYTES} bytes.`);
    pieces.push(piece);
  }
  return await new Blob(pieces as BlobPart[]).text();
}

async function post(url: string, key: string, fields: Fields): Promise<Response | null> {
  try {
    return await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", apikey: key, authorization: `Bearer ${key}` },
      body: JSON.stringify(fields),
      redirect: "manual",
      signal: AbortSignal.timeout(RPC_MILLISECONDS),
    });
  } catch {
    return null;
  }
}

async function document(response: Response): Promise<Json> {
  let body: Json;
  try {
    body = await response.json();
  } catch {
    throw new RequestError(502, "DATABASE", `The database returned status ${response.status} without JSON.`);
  }
  if (response.ok) return body;
  const fault = body as { code?: Json; message?: Json };
  // Our own code for arguments, and PostgreSQL's class for values of the wrong type.
  if (/^(CQ005|22...)$/.test(String(fault?.code))) throw new RequestError(400, "CQ005", String(fault.message));
  console.error("database:", response.status, fault?.code ?? null);
  throw new RequestError(502, "DATABASE", `The database returned status ${response.status}.`);
}

function serviceKey(): string | undefined {
  return Deno.env.get("SUPABASE_SERVICE_ROLE_KEY") || Deno.env.get("SUPABASE_SECRET_KEY") ||
    named("SUPABASE_SECRET_KEYS")[0];
}

/** The keys that a project passes to its functions by name, as {"default": "sb_…"}. */
function named(variable: string): string[] {
  try {
    return Object.values(JSON.parse(Deno.env.get(variable) || "{}")).filter((key) => typeof key === "string");
  } catch {
    return [];
  }
}

/** The SHA-256 of a text in hexadecimal digits. */
export async function hashed(text: string): Promise<string> {
  return [...await digest(text)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) difference |= one[at] ^ other[at];
  return difference === 0;
}

function reply(status: number, body: Json): Response {
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return new Response(JSON.stringify(body), {
    status,
    headers: status === 405 ? { ...headers, allow: "POST" } : headers,
  });
}
