// POST {"environment": "dev", "reference": "provider:usage:name"} with x-admin-token: {"secret": row or null}.
//
// The row holds ciphertext: this function never has a key to decrypt it. The public keys alone get nothing.

import { isOneOf, type Json, Refused, rpc, serve } from "../_shared/edge.ts";

serve(async ({ environment, reference }, request): Promise<Json> => {
  const token = Deno.env.get("QUALITY_NOTIFY_ADMIN_TOKEN") ?? "";
  if (!await isOneOf(request.headers.get("x-admin-token"), [token])) {
    throw new Refused(403, "ADMIN_TOKEN", "Send the admin token as x-admin-token.");
  }
  return { secret: await rpc("get_secret", { environment: environment ?? null, reference: reference ?? null }) };
});
