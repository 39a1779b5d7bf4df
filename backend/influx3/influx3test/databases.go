package influx3test

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
)

// listDatabases is GET /api/v3/configure/database, which must be told a format (measured).
func (c *call) listDatabases() (*answer, *failure) {
	if refused := c.needsAdmin(); refused != nil {
		return nil, refused
	}
	switch format := c.query.Get("format"); format {
	case "json":
	case "":
		return nil, text(http.StatusBadRequest, "serde error: missing field `format`")
	default:
		return nil, text(http.StatusBadRequest, "influx3test: the only format here is json, not "+format)
	}
	rows := []map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.memory.databases)) {
		rows = append(rows, map[string]string{"iox::database": name})
	}
	return jsonAnswer(http.StatusOK, "application/json", rows), nil
}

// createDatabase is POST /api/v3/configure/database.
func (c *call) createDatabase() (*answer, *failure) {
	var request struct {
		Database *string `json:"db"`
	}
	if refused := c.needsAdmin(); refused != nil {
		return nil, refused
	}
	if refused := c.decode(&request); refused != nil {
		return nil, refused
	}
	if request.Database == nil {
		return nil, missing("db")
	}
	if refused := c.write(c.node, addDatabase(*request.Database), false); refused != nil {
		return nil, refused
	}
	return &answer{status: http.StatusOK}, nil
}

// writeLines is POST /api/v3/write_lp: lines are neither read nor kept. One to a database that is not there makes it
// (measured), which is a catalog write; a new table, which would be one too, is not noticed here.
func (c *call) writeLines() (*answer, *failure) {
	database := c.query.Get("db")
	if database == "" {
		return nil, text(http.StatusBadRequest, "missing query parameter 'db'")
	}
	if c.by != nil && !c.by.may(c.memory, "write", database) {
		return nil, errForbidden
	}
	if len(bytes.TrimSpace(c.body)) == 0 {
		return nil, text(http.StatusBadRequest, "incoming write was empty")
	}
	if _, exists := c.memory.databases[database]; !exists {
		if refused := c.write(c.node, addDatabase(database), false); refused != nil && refused.status != http.StatusConflict {
			return nil, refused
		}
	}
	return &answer{status: http.StatusNoContent}, nil
}
