package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
)

// maxRehearsals bounds how often InfluxDB is asked what else the root token lacks: it names one at a time.
const maxRehearsals = 100

// rehearse asks InfluxDB itself whether the root token can grant permissions to an owner: it makes a token
// that can't be used, and deletes it. Each refusal names one permission; what is left is asked for again,
// until all that is missing is known.
func (b *backend) rehearse(ctx context.Context, e *endpoint, scope permission.Scope, ownerID string, permissions []permission.Permission) error {
	var problems permission.Problems
	permissions = slices.Clone(permissions)
	for range maxRehearsals {
		if len(permissions) == 0 {
			return problems.Err()
		}
		probe, err := b.probe(ctx, e, place{scope.OrgID, ownerID}, permissions...)
		if probe != nil {
			err = errors.Join(err, destroy(context.WithoutCancel(ctx), e, *probe.Id))
		}
		var refused *influx.Error
		if err == nil || !errors.As(err, &refused) {
			return errors.Join(problems.Err(), err)
		}
		lacking := slices.IndexFunc(permissions, func(p permission.Permission) bool { return p.String() == refused.Permission })
		switch {
		case refused.Kind == influx.Forbidden && lacking >= 0:
			p := permissions[lacking]
			problems = append(problems, &permission.Problem{Field: p.Place.String(),
				Text: fmt.Sprintf("the root token does not hold %s, so it can't grant it; see docs/root-token.md", p.Words(scope))})
			permissions = slices.DeleteFunc(permissions, func(q permission.Permission) bool { return q.String() == refused.Permission })
		case refused.Kind == influx.MissingPermission:
			return errors.Join(problems.Err(), badInput("the root token lacks %s, needed to create tokens of this role; see docs/root-token.md", refused.Permission))
		default:
			return errors.Join(problems.Err(), err)
		}
	}
	return errors.Join(problems.Err(), badInput("and perhaps more: after %d permissions that the root token does not hold, InfluxDB was not asked on", maxRehearsals))
}
