// POST {"environment": "dev", "reference": "provider:usage:name"} with x-admin-token: {"secret": row or null}.
//
// The row has ciphertext, which this function cannot decrypt. A public key alone is not sufficient.

import { hashed, isOneOf, type Json, RequestError, rpc, serve } from "../_shared/edge.ts";

serve(async ({ environment, reference }, request): Promise<Json> => {
  const token = Deno.env.get("QUALITY_NOTIFY_ADMIN_TOKEN") ?? "";
  const given = request.headers.get("x-admin-token");
  if (!await isOneOf(given, [token]) && !await isNamedAdmin(given)) {
    throw new RequestError(403, "ADMIN_TOKEN", "Send the admin token as x-admin-token.");
  }
  return { secret: await rpc("get_secret", { environment: environment ?? null, reference: reference ?? null }) };
});

/** Whether it is a live token that `cogo tokens create` made for an administrator. */
async function isNamedAdmin(given: string | null): Promise<boolean> {
  if (!/^cogo_[A-Za-z0-9_-]{43}$/.test(given ?? "")) return false;
  const row = await rpc("use_access_token", { token_hash: await hashed(given!) });
  return typeof row === "object" && row !== null && !Array.isArray(row) && row.role === "admin";
}
