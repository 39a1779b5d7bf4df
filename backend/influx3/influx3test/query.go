package influx3test

import (
	"net/http"
	"regexp"
	"strings"
)

// statement is all of SQL that this server knows: rows of system.tokens by name or hash, compared with a parameter.
var statement = regexp.MustCompile(`^SELECT ([a-z_]+(?:, ?[a-z_]+)*) FROM system\.tokens WHERE (name|hash) (LIKE|=) \$([a-z]+)$`)

// querySQL is POST /api/v3/query_sql. It takes any Content-Type (read). The token needs rights on the database, which for
// "_internal" only admin tokens have: a list is never short, it is a 403 (documented).
func (c *call) querySQL() (*answer, *failure) {
	var request struct {
		Database *string           `json:"db"`
		Query    *string           `json:"q"`
		Format   string            `json:"format"`
		Params   map[string]string `json:"params"`
	}
	if refused := c.decodeAny(&request); refused != nil {
		return nil, refused
	}
	switch {
	case request.Database == nil:
		return nil, missing("db")
	case request.Query == nil:
		return nil, missing("q")
	case request.Format != "json" && request.Format != "":
		return nil, text(http.StatusBadRequest, "influx3test: the only format here is json, not "+request.Format)
	}
	if _, exists := c.memory.databases[*request.Database]; !exists {
		return nil, text(http.StatusNotFound, `{"error":"query error: database not found: `+*request.Database+`"}`) // measured
	}
	if c.by != nil && !c.by.may(c.memory, "read", *request.Database) {
		return nil, errForbidden
	}
	match := statement.FindStringSubmatch(*request.Query)
	if match == nil || *request.Database != internalDatabase {
		return nil, text(http.StatusBadRequest, "influx3test: not a query that is known here: "+*request.Query)
	}
	parameter, given := request.Params[match[4]]
	if !given {
		return nil, text(http.StatusBadRequest, "Error during planning: No value found for placeholder with name $"+match[4])
	}
	rows, refused := c.selectTokens(strings.Split(strings.ReplaceAll(match[1], " ", ""), ","), match[2], match[3], parameter)
	if refused != nil {
		return nil, refused
	}
	return jsonAnswer(http.StatusOK, "application/json", rows), nil
}

// selectTokens is the rows that match, expired ones too (measured), in the order of their IDs.
func (c *call) selectTokens(columns []string, by, operator, parameter string) ([]map[string]any, *failure) {
	matches := func(s string) bool { return s == parameter }
	if operator == "LIKE" {
		matches = like(parameter).MatchString
	}
	rows := []map[string]any{}
	for _, column := range append(columns, by) {
		if _, known := c.row(&token{})[column]; !known {
			return nil, text(http.StatusInternalServerError, "Schema error: No field named "+column+".") // measured: 500
		}
	}
	for _, t := range c.memory.inOrder() {
		all := c.row(t)
		if !matches(all[by].(string)) {
			continue
		}
		row := map[string]any{}
		for _, column := range columns {
			if all[column] != nil { // a column without a value is left out (measured)
				row[column] = all[column]
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// row is a token's row in system.tokens. Of its hash there are 9 digits, and no such column without authentication; its
// times have no zone (measured).
func (c *call) row(t *token) map[string]any {
	row := map[string]any{
		"token_id": t.id, "name": t.name, "created_at": timestamp(t.created), "expiry": nil, "permissions": t.column(c.memory),
	}
	if !c.withoutAuth {
		row["hash"] = t.hash[:min(9, len(t.hash))]
	}
	if !t.expiry.IsZero() {
		row["expiry"] = timestamp(t.expiry)
	}
	return row
}

// like is a pattern of SQL's LIKE: % stands for any text, _ for any one character, and what follows a backslash for
// itself.
func like(pattern string) *regexp.Regexp {
	var expression strings.Builder
	expression.WriteString(`(?s)^`)
	escaped := false
	for _, char := range pattern {
		switch {
		case escaped || char != '%' && char != '_' && char != '\\':
			expression.WriteString(regexp.QuoteMeta(string(char)))
			escaped = false
		case char == '%':
			expression.WriteString(`.*`)
		case char == '_':
			expression.WriteString(`.`)
		default:
			escaped = true
		}
	}
	if escaped {
		expression.WriteString(`\\`)
	}
	return regexp.MustCompile(expression.String() + `$`)
}
