// Package hooks sends notices to webhooks: HTTPS requests that are signed as the
// Standard Webhooks specification has it (https://www.standardwebhooks.com).
//
// The audit log is the queue. The ledger knows for each webhook how far it is in the
// log, which messages wait for another try and which were given up; a Dispatcher takes
// them one after the other for each webhook, and several webhooks at a time. A message
// is settled after its target answered, so that a crash in between sends it twice:
// receivers tell by its id.
//
// Targets are chosen by tenants, so every connection is judged by the address that is
// dialled, whatever name led to it. Redirects are answers like any other refusal, no
// proxy of the environment is used, and what a target answers is not kept.
package hooks
