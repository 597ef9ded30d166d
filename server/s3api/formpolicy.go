package s3api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// postPolicy is what the signer of a form lets be posted with it, see
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html.
type postPolicy struct {
	expiration time.Time
	conditions []postCondition
	// The size of the file in bytes; of several ranges all hold.
	minSize, maxSize int64
}

// postCondition is about one field.
type postCondition struct {
	prefix bool   // the value only begins so
	field  string // lower case, without "$"
	value  string
}

// parsePolicy reads a policy in base64. Its signature has been checked: what is
// wrong with it is a mistake of its signer's.
func parsePolicy(encoded string) (*postPolicy, error) {
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, badPolicy("Invalid Policy: The policy is not base64.")
	}
	// Through a map: the names are case-sensitive.
	var doc map[string]json.RawMessage
	if json.Unmarshal(b, &doc) != nil {
		return nil, badPolicy("Invalid Policy: Invalid JSON.")
	}
	p := &postPolicy{maxSize: math.MaxInt64}
	var expiration string
	switch {
	case doc["expiration"] == nil:
		return nil, badPolicy("Invalid Policy: Policy missing expiration.")
	case json.Unmarshal(doc["expiration"], &expiration) != nil:
		return nil, badPolicy("Invalid Policy: Invalid 'expiration' value.")
	}
	if p.expiration, err = time.Parse(time.RFC3339, expiration); err != nil {
		return nil, badPolicy("Invalid Policy: Invalid 'expiration' value.")
	}
	var conditions []json.RawMessage
	switch {
	case doc["conditions"] == nil:
		return nil, badPolicy("Invalid Policy: Policy missing conditions.")
	case json.Unmarshal(doc["conditions"], &conditions) != nil || len(conditions) == 0:
		return nil, badPolicy("Invalid Policy: Invalid 'conditions' value: must be a List.")
	}
	for _, c := range conditions {
		if err := p.add(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// add reads one condition: {"field": "value"}, ["eq", "$field", "value"],
// ["starts-with", "$field", "prefix"] or ["content-length-range", min, max].
func (p *postPolicy) add(raw json.RawMessage) error {
	var exact map[string]string
	if json.Unmarshal(raw, &exact) == nil && len(exact) > 0 {
		for field, value := range exact {
			p.conditions = append(p.conditions, postCondition{field: strings.ToLower(field), value: value})
		}
		return nil
	}
	var list []json.RawMessage
	var kind string
	if json.Unmarshal(raw, &list) != nil || len(list) != 3 || json.Unmarshal(list[0], &kind) != nil {
		return badCondition()
	}
	kind = strings.ToLower(kind)
	if kind == "content-length-range" {
		return p.addRange(list[1], list[2])
	}
	var field, value string
	if kind != "eq" && kind != "starts-with" || json.Unmarshal(list[1], &field) != nil || json.Unmarshal(list[2], &value) != nil {
		return badCondition()
	}
	name, ok := strings.CutPrefix(field, "$")
	if !ok || name == "" {
		return badCondition()
	}
	p.conditions = append(p.conditions, postCondition{prefix: kind == "starts-with", field: strings.ToLower(name), value: value})
	return nil
}

func (p *postPolicy) addRange(low, high json.RawMessage) error {
	// Some write the numbers as strings.
	least, err := json.Number(bytes.Trim(low, `"`)).Int64()
	most, err2 := json.Number(bytes.Trim(high, `"`)).Int64()
	if err != nil || err2 != nil || least < 0 || most < least {
		return badCondition()
	}
	p.minSize, p.maxSize = max(p.minSize, least), min(p.maxSize, most)
	return nil
}

func badPolicy(message string) error { return say(codeInvalidPolicyDocument, message) }

func badCondition() error { return badPolicy("Invalid Policy: Invalid Simple-Condition.") }

// check holds a form's fields, once they are expanded, against the policy. Of
// those that are not about the signature each must be the subject of a condition,
// so that nobody but the signer decides anything; so must the bucket.
func (p *postPolicy) check(fields map[string]string, bucket string) error {
	covered := map[string]bool{}
	for _, c := range p.conditions {
		value := fields[c.field]
		if c.field == "bucket" {
			value = bucket
		}
		if !c.holds(value) {
			return say(codeAccessDenied, "Invalid according to Policy: Policy Condition failed: "+c.String())
		}
		covered[c.field] = true
	}
	var extra []string
	for name := range fields {
		if !covered[name] && name != "policy" && name != "x-amz-signature" && !strings.HasPrefix(name, "x-ignore-") {
			extra = append(extra, name)
		}
	}
	if !covered["bucket"] {
		extra = append(extra, "bucket")
	}
	if len(extra) > 0 {
		slices.Sort(extra)
		return say(codeAccessDenied, "Invalid according to Policy: Extra input fields: "+strings.Join(extra, ", "))
	}
	return nil
}

func (c *postCondition) holds(value string) bool {
	if !c.prefix {
		return value == c.value
	}
	if c.field != "content-type" {
		return strings.HasPrefix(value, c.value)
	}
	// A list, each of which is to begin so.
	for one := range strings.SplitSeq(value, ",") {
		if !strings.HasPrefix(strings.TrimSpace(one), c.value) {
			return false
		}
	}
	return true
}

// String is the condition as S3 repeats it to whoever did not meet it.
func (c *postCondition) String() string {
	kind := "eq"
	if c.prefix {
		kind = "starts-with"
	}
	return `["` + kind + `", "$` + c.field + `", "` + c.value + `"]`
}
