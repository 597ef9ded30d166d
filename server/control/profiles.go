package control

import (
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
)

// profileBody is a profile's policy. What is left out is the server's default.
type profileBody struct {
	Intake       registry.Intake `json:"intake"`
	AllowedTypes []string        `json:"allowed_types"`
	MaxSize      int64           `json:"max_size"`
	SessionTTL   duration        `json:"session_ttl"`
	PutURLTTL    duration        `json:"put_url_ttl"`
	GetURLMinTTL duration        `json:"get_url_min_ttl"`
	GetURLMaxTTL duration        `json:"get_url_max_ttl"`
	AllowInline  bool            `json:"allow_inline"`
	CORSOrigins  []string        `json:"cors_origins"`
	SingleUse    bool            `json:"single_use"`
	PresignMax   duration        `json:"presign_max_ttl"`
	Scan         *scanRules      `json:"scan"`
}

type profileRow struct {
	Name         registry.BucketName `json:"name"`
	Intake       registry.Intake     `json:"intake"`
	AllowedTypes []string            `json:"allowed_types"`
	MaxSize      int64               `json:"max_size,omitempty"`
	SessionTTL   duration            `json:"session_ttl,omitempty"`
	PutURLTTL    duration            `json:"put_url_ttl,omitempty"`
	GetURLMinTTL duration            `json:"get_url_min_ttl,omitempty"`
	GetURLMaxTTL duration            `json:"get_url_max_ttl,omitempty"`
	AllowInline  bool                `json:"allow_inline"`
	CORSOrigins  []string            `json:"cors_origins"`
	SingleUse    bool                `json:"single_use"`
	PresignMax   duration            `json:"presign_max_ttl,omitempty"`
	Scan         *scanRules          `json:"scan"`
	CreatedAt    string              `json:"created_at"`
}

func profileRowOf(b registry.Bucket) profileRow {
	row := profileRow{
		Name: b.Name, Intake: b.Intake, AllowedTypes: b.AllowedTypes, MaxSize: b.MaxSize,
		SessionTTL: duration(b.SessionTTL), PutURLTTL: duration(b.PutURLTTL),
		GetURLMinTTL: duration(b.GetURLMinTTL), GetURLMaxTTL: duration(b.GetURLMaxTTL),
		AllowInline: b.AllowInline, CORSOrigins: b.CORSOrigins,
		SingleUse: b.SingleUse, PresignMax: duration(b.PresignMaxTTL), CreatedAt: stamp(b.CreatedAt),
		Scan: scanRulesOf(b.Scan),
	}
	if row.AllowedTypes == nil {
		row.AllowedTypes = []string{}
	}
	if row.CORSOrigins == nil {
		row.CORSOrigins = []string{}
	}
	return row
}

func listProfiles(k *call) error {
	list, err := k.cfg.Pipeline.Profiles(k.context(), k.actor)
	if err != nil {
		return err
	}
	out := struct {
		Profiles []profileRow `json:"profiles"`
	}{make([]profileRow, 0, len(list))}
	for _, b := range list {
		out.Profiles = append(out.Profiles, profileRowOf(b))
	}
	return k.json(fasthttp.StatusOK, out)
}

func getProfile(k *call) error {
	b, err := k.cfg.Pipeline.Profile(k.context(), k.actor, registry.BucketName(k.id))
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, profileRowOf(b))
}

func putProfile(k *call) error {
	var in profileBody
	if err := k.decode(&in); err != nil {
		return err
	}
	if in.Intake == "" {
		in.Intake = registry.IntakeQuarantine
	}
	name := registry.BucketName(k.id)
	if err := k.cfg.Pipeline.PutProfile(k.context(), k.actor, registry.Bucket{
		Name: name, Intake: in.Intake, AllowedTypes: in.AllowedTypes, MaxSize: in.MaxSize,
		SessionTTL: time.Duration(in.SessionTTL), PutURLTTL: time.Duration(in.PutURLTTL),
		GetURLMinTTL: time.Duration(in.GetURLMinTTL), GetURLMaxTTL: time.Duration(in.GetURLMaxTTL),
		AllowInline: in.AllowInline, CORSOrigins: in.CORSOrigins,
		SingleUse: in.SingleUse, PresignMaxTTL: time.Duration(in.PresignMax), Scan: in.Scan.rules(),
	}); err != nil {
		return err
	}
	return getProfile(k)
}
