package influx

import (
	"context"
	"errors"
	"strings"
)

// Sighting is what a look at one thing by its ID says about which InfluxDB answers. IDs of organizations, users and
// authorizations are never given twice, so that one that is seen proves that this is the InfluxDB (or a restored copy
// of it) that the ID comes from.
type Sighting string

// The sightings.
const (
	// Seen: there is such a thing.
	Seen Sighting = "seen"
	// NotThere: InfluxDB itself says that there is none. It was deleted, or this is another InfluxDB.
	NotThere Sighting = "not there"
	// Hidden: InfluxDB itself says that the token may not look, or that it has no such endpoint.
	Hidden Sighting = "hidden"
	// NoAnswer: InfluxDB did not answer, or refused the token as such. The error says which.
	NoAnswer Sighting = "no answer"
)

// SeeOrganization looks at an organization. The error is that of OrganizationByID.
func (c *Client) SeeOrganization(ctx context.Context, id string) (Sighting, error) {
	_, err := c.OrganizationByID(ctx, id)
	return sightingOf(err), err
}

// SeeAuthorization looks at an authorization. The error is that of GetAuthorization. One whose owner or organization
// was deleted is there.
func (c *Client) SeeAuthorization(ctx context.Context, id string) (Sighting, error) {
	_, err := c.GetAuthorization(ctx, id)
	if Is(err, NotFound) {
		return Seen, err
	}
	return sightingOf(err), err
}

// SeeOwnUser looks whether the user of the client's token has this ID. The error is that of Me: a token that may not
// read its user sees the ID all the same.
func (c *Client) SeeOwnUser(ctx context.Context, id string) (Sighting, error) {
	me, err := c.Me(ctx)
	switch {
	case me.ID == "":
		return sightingOf(err), err
	case strings.EqualFold(me.ID, id):
		return Seen, err
	}
	return NotThere, err
}

// sightingOf returns what the error of a look-up by ID says.
func sightingOf(err error) Sighting {
	e, ok := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return Seen
	case !ok || !e.FromInfluxDB():
		return NoAnswer
	case IsNotFound(e):
		return NotThere
	case e.Kind == MissingPermission, e.Kind == Forbidden, e.Kind == NoSuchPath:
		return Hidden
	}
	return NoAnswer
}
