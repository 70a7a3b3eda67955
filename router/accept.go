package router

import "strings"

// Bounds of what [PrefersHTML] looks at. Browsers stay far below them.
const (
	maxAccept       = 1024 // bytes
	maxAcceptRanges = 32
)

// PrefersHTML reports whether the value of an Accept header (RFC 9110 §12.5.1) asks for HTML before JSON. HTML has to be
// named: "*/*" and no header at all mean JSON, and so does a tie. What is beyond 1024 bytes or 32 media ranges is not
// looked at; what cannot be parsed counts as not there.
func PrefersHTML(accept string) bool {
	if accept == "*/*" { // as programs send it
		return false
	}
	if len(accept) > maxAccept {
		accept = accept[:maxAccept]
		// The last range may be cut in two.
		accept = accept[:strings.LastIndexByte(accept, ',')+1]
	}
	html, json, jsonNamed, app, all := -1, -1, false, -1, -1
	for n := 0; accept != "" && n < maxAcceptRanges; n++ {
		var item string
		item, accept, _ = strings.Cut(accept, ",")
		media, parameters, _ := strings.Cut(item, ";")
		q, ok := quality(parameters)
		if !ok {
			continue
		}
		switch media = strings.Trim(media, " \t"); {
		case strings.EqualFold(media, "text/html"), strings.EqualFold(media, "application/xhtml+xml"):
			html = max(html, q)
		case strings.EqualFold(media, "application/json"), strings.EqualFold(media, ProblemContentType):
			json, jsonNamed = max(json, q), true
		case strings.EqualFold(media, "application/*"):
			app = max(app, q)
		case media == "*/*":
			all = max(all, q)
		}
	}
	if !jsonNamed {
		// The more specific range counts (RFC 9110 §12.5.1).
		if json = app; json < 0 {
			json = all
		}
		// Where JSON is only covered by a wildcard, a tie is for the one that is named.
		return html > 0 && html >= json
	}
	return html > 0 && html > json
}

// quality returns the weight among a media range's parameters (RFC 9110 §12.4.2) in thousandths; 1000 when there is
// none, false when it is malformed.
func quality(parameters string) (q int, ok bool) {
	for parameters != "" {
		var p string
		p, parameters, _ = strings.Cut(parameters, ";")
		name, value, found := strings.Cut(strings.Trim(p, " \t"), "=")
		if !found || !strings.EqualFold(name, "q") {
			continue
		}
		return weight(value)
	}
	return 1000, true
}

// weight parses "0", "1", "0.8", "1.000".
func weight(s string) (int, bool) {
	if s == "" || len(s) > 5 || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0, false
	}
	q := int(s[0]-'0') * 1000
	unit := 100
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		q += int(s[i]-'0') * unit
		unit /= 10
	}
	return q, q <= 1000
}
