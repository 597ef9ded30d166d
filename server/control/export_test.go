package control

// Route is one row of the route table, for tests that walk it.
type Route struct {
	Method, Pattern, Op string
	Query               []string
	TakesJSON           bool
	Open, Issues        bool
}

// Routes is the route table.
func Routes() []Route {
	var all []Route
	for _, r := range routes {
		all = append(all, Route{
			Method: r.method, Pattern: r.pattern, Op: r.op, Query: r.query,
			TakesJSON: r.body == jsonBody || r.body == optionalJSON, Open: r.open, Issues: r.issues,
		})
	}
	return all
}

// Codes are the codes of the table of errors.
func Codes() []string {
	var all []string
	for _, a := range answers {
		all = append(all, a.code)
	}
	return all
}

// Decode reads a body strictly, as a call that needs one does.
func Decode(body []byte, into any) error {
	k := &call{route: &route{body: jsonBody}, body: body}
	return k.decode(into)
}

// ProfileBody is the widest of the bodies that calls take.
type ProfileBody = profileBody
