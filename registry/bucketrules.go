package registry

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What AWS takes of each; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html,
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html,
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/CostAllocTagging.html and
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html.
const (
	maxCORSRules      = 100
	maxLifecycleRules = 1000
	maxRuleID         = 255
	maxBucketTags     = 50
	maxObjectTags     = 10
	maxTagKey         = 128 // characters
	maxTagValue       = 256
	maxKeepVersions   = 100
	// maxDays is beyond any rule's use, and keeps what is counted from it in
	// the range of times.
	maxDays = 1<<31 - 1
	// maxCORSList bounds the entries of one rule's lists.
	maxCORSList = 1000
)

func validCORS(rules []CORSRule) error {
	if len(rules) > maxCORSRules {
		return fmt.Errorf("%w: more than %d CORS rules", ErrInvalid, maxCORSRules)
	}
	for i := range rules {
		if err := rules[i].valid(); err != nil {
			return fmt.Errorf("CORS rule %d: %w", i+1, err)
		}
	}
	return nil
}

func (r *CORSRule) valid() error {
	if len(r.ID) > maxRuleID || r.MaxAge < 0 || r.MaxAge > maxDays {
		return fmt.Errorf("%w: id or maximal age", ErrInvalid)
	}
	if len(r.AllowedOrigins) == 0 || len(r.AllowedMethods) == 0 {
		return fmt.Errorf("%w: origins and methods are needed", ErrInvalid)
	}
	for _, m := range r.AllowedMethods {
		if !slices.Contains([]string{"GET", "PUT", "POST", "DELETE", "HEAD"}, m) {
			return fmt.Errorf("%w: method", ErrInvalid)
		}
	}
	for _, list := range [][]string{r.AllowedOrigins, r.AllowedHeaders} {
		if !patterns(list, 1) {
			return fmt.Errorf("%w: an origin or header has one wildcard at most", ErrInvalid)
		}
	}
	if !patterns(r.ExposeHeaders, 0) {
		return fmt.Errorf("%w: an exposed header has no wildcard", ErrInvalid)
	}
	return nil
}

// patterns tells whether each text of a list is one, and has at most stars of '*'.
func patterns(list []string, stars int) bool {
	if len(list) > maxCORSList {
		return false
	}
	return !slices.ContainsFunc(list, func(s string) bool {
		return s == "" || len(s) > maxText || strings.Count(s, "*") > stars || strings.ContainsFunc(s, unicode.IsControl)
	})
}

func validLifecycle(rules []LifecycleRule) error {
	if len(rules) > maxLifecycleRules {
		return fmt.Errorf("%w: more than %d lifecycle rules", ErrInvalid, maxLifecycleRules)
	}
	ids := make(map[string]bool, len(rules))
	for i := range rules {
		r := &rules[i]
		if len(r.ID) > maxRuleID || ids[r.ID] {
			return fmt.Errorf("lifecycle rule %d: %w: its id is too long or another one's", i+1, ErrInvalid)
		}
		ids[r.ID] = true
		if err := r.valid(); err != nil {
			return fmt.Errorf("lifecycle rule %d: %w", i+1, err)
		}
	}
	return nil
}

// valid is ErrInvalid for what AWS refuses in a rule.
func (r *LifecycleRule) valid() error {
	for _, n := range [...]int{r.ExpireDays, r.NoncurrentDays, r.NoncurrentKeep, r.AbortDays} {
		if n < 0 || n > maxDays {
			return fmt.Errorf("%w: a number of days or versions", ErrInvalid)
		}
	}
	switch {
	case !slices.Contains([]string{"", "prefix", "filter", "and"}, r.Form):
		return fmt.Errorf("%w: form of the filter", ErrInvalid)
	case len(r.Prefix) > maxKey || !utf8.ValidString(r.Prefix):
		return fmt.Errorf("%w: prefix", ErrInvalid)
	case r.LargerThan < 0 || r.SmallerThan < 0 || r.SmallerThan > 0 && r.LargerThan >= r.SmallerThan:
		return fmt.Errorf("%w: sizes", ErrInvalid)
	case !r.expires() && !r.ExpireMarkers && r.NoncurrentDays == 0 && r.AbortDays == 0:
		return fmt.Errorf("%w: a rule needs an action", ErrInvalid)
	case r.ExpireDays > 0 && !r.ExpireDate.IsZero(), r.expires() && r.ExpireMarkers:
		return fmt.Errorf("%w: an expiration is of days, of a date or of delete markers", ErrInvalid)
	case !r.ExpireDate.Equal(r.ExpireDate.Truncate(24 * time.Hour)):
		return fmt.Errorf("%w: a date is at midnight GMT", ErrInvalid)
	case r.NoncurrentKeep > maxKeepVersions || r.NoncurrentKeep > 0 && r.NoncurrentDays == 0:
		return fmt.Errorf("%w: versions to keep are at most %d, and need days", ErrInvalid, maxKeepVersions)
	case r.ExpireMarkers && len(r.Tags) > 0, r.AbortDays > 0 && r.filtered():
		return fmt.Errorf("%w: delete markers and multipart uploads have no tags, and these no size", ErrInvalid)
	}
	return validTags(r.Tags, maxObjectTags)
}

// validTags checks tags by AWS's rules: characters are letters, digits, spaces and
// those of "+-=._:/@", and what begins with "aws:" is not a client's to use.
func validTags(tags map[string]string, most int) error {
	if len(tags) > most {
		return fmt.Errorf("%w: more than %d tags", ErrInvalid, most)
	}
	for key, value := range tags {
		if key == "" || utf8.RuneCountInString(key) > maxTagKey || strings.HasPrefix(strings.ToLower(key), "aws:") || !tagText(key) {
			return fmt.Errorf("%w: key of a tag", ErrInvalid)
		}
		if utf8.RuneCountInString(value) > maxTagValue || !tagText(value) {
			return fmt.Errorf("%w: value of a tag", ErrInvalid)
		}
	}
	return nil
}

func tagText(s string) bool {
	for _, r := range s {
		ok := unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r) || unicode.IsSpace(r) && !unicode.IsControl(r)
		if !ok && !strings.ContainsRune("+-=._:/@", r) {
			return false
		}
	}
	return utf8.ValidString(s)
}
