package sigv4

import (
	"bytes"
	"time"
)

const (
	stampLayout = "20060102T150405Z"
	dayLayout   = "20060102"
)

// parseStamp reads YYYYMMDDTHHMMSSZ. time.Parse would do, at ten times the
// price and with a leniency (fractions) that nobody signs.
func parseStamp(b []byte) (t time.Time, ok bool) {
	if len(b) != len(stampLayout) || b[8] != 'T' || b[15] != 'Z' {
		return t, false
	}
	var n [6]int // year month day hour minute second
	at := 0
	for i, width := range [6]int{4, 2, 2, 2, 2, 2} {
		if i == 3 {
			at++ // the T
		}
		for range width {
			d := b[at] - '0'
			if d > 9 {
				return t, false
			}
			n[i] = n[i]*10 + int(d)
			at++
		}
	}
	if n[1] < 1 || n[1] > 12 || n[2] < 1 || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return t, false
	}
	t = time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
	return t, t.Day() == n[2] // time.Date turns 31 February into March
}

// setTime reads the request's time from x-amz-date, else from Date, and checks
// that the credential is of the same day.
func (c *Claim) setTime(amzDate, date []byte) error {
	switch {
	case amzDate != nil:
		t, ok := parseStamp(amzDate)
		if !ok {
			return refuse(InvalidDate, "x-amz-date is not YYYYMMDDTHHMMSSZ")
		}
		c.Time, c.stamp = t, amzDate
	case date != nil:
		t, err := parseHTTPDate(string(date))
		if err != nil {
			return refuse(InvalidDate, "date is not an HTTP date")
		}
		c.Time = t.UTC()
		c.stamp = c.Time.AppendFormat(c.store[c.used:c.used:len(c.store)], stampLayout)
		c.used = min(c.used+len(c.stamp), len(c.store))
	default:
		return refuse(InvalidDate, "neither x-amz-date nor date is present")
	}
	if !bytes.Equal(c.Date, c.stamp[:len(dayLayout)]) {
		return refuse(InvalidDate, "credential is not of the day of the request")
	}
	return nil
}

// parseHTTPDate reads the forms of RFC 9110 section 5.6.7, the first of which
// is in use, and the ISO basic form that some clients put into Date.
func parseHTTPDate(s string) (t time.Time, err error) {
	for _, layout := range [...]string{time.RFC1123, time.RFC1123Z, time.RFC850, time.ANSIC, stampLayout} {
		if t, err = time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return t, err
}
