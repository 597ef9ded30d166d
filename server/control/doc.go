// Package control is the JSON API of the control port: it creates sessions,
// issues and revokes signed URLs, shows objects and the audit log, and manages
// tenants, keys, tokens and profiles.
//
// A request passes Admit on its header alone: route, credential, transport
// security and the limits of its body are settled before a body byte is read.
// The handler then parses, calls a verb of the pipeline, and renders; rights
// are the pipeline's to judge. errors.go holds the one table from errors to
// status and code, openapi.json the description that programs are written
// against.
package control
