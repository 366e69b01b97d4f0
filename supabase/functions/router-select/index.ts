// POST {"capabilities": ["chat"], "max_age_seconds": 900} or {"capability": "chat"}: the result of the SQL function select_provider.

import { type Json, rpc, serve } from "../_shared/edge.ts";

serve(async ({ capability, capabilities, max_age_seconds }): Promise<Json> =>
  await rpc("select_provider", {
    capabilities: capabilities ?? (capability === undefined ? null : [capability]),
    ...(max_age_seconds === undefined ? {} : { max_age_seconds }),
  })
);
