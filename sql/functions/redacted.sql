/*
 * Text in which everything that resembles a secret is replaced by [hidden], as by `redaction.redact` in Python: tokens
 * of known formats, credentials in headers and after names such as password=…, user names and passwords in addresses,
 * query strings. The function is applied to all text that alerts copy from other tables. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.redacted(given text) returns text
language sql immutable set search_path = '' as $$
    select
        regexp_replace(
        regexp_replace(
        regexp_replace(
        regexp_replace(
        regexp_replace(
        regexp_replace(
        regexp_replace(redacted.given,
            '(hooks\.slack\.com/(?:services|workflows)/)[^\s"''<>]+', '\1[hidden]', 'gi'),
            '\y([a-z][a-z0-9+.-]*://)[^\s/@"''<>]+@', '\1[hidden]@', 'gi'),
            '(\y[a-z][a-z0-9+.-]*://[^\s?#"''<>]+)\?[^\s#"''<>]+', '\1?[hidden]', 'gi'),
            '\y(?:(?:figd|sbp|sb_secret|sb_publishable|ghp|gho|ghu|ghs|ghr|github_pat|whsec)_[A-Za-z0-9_+/=-]{8,}'
            '|xox[a-z]-[A-Za-z0-9-]{8,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|gAAAA[A-Za-z0-9_-]{60,}={0,2})',
            '[hidden]', 'g'),
            '\y((?:proxy-)?authorization|x-figma-token|x-admin-token|apikey|api-key|cookie|set-cookie)'
            '(["'']?\s*[:=]\s*["'']?)(?:(?:bearer|basic)\s+)?[^\s"'',;}]+', '\1\2[hidden]', 'gi'),
            '\y(bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}', '\1 [hidden]', 'gi'),
            '\y([a-z0-9_-]*(?:password|passwd|secret|token|api[_-]?key|service[_-]role[_-]key))(["'']?\s*[:=]\s*["'']?)'
            '[^\s"'',;&}]{4,}', '\1\2[hidden]', 'gi')
$$;

comment on function cogo_internal.redacted is 'Text in which everything that resembles a secret is replaced.';
