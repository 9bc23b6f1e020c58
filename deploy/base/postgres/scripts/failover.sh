#!/usr/bin/env bash
# Makes another node the primary. Run by a person who may exec into the pods; needs kubectl alone.
#
#   failover.sh --yes                  the primary is dead: promote the standby that has everything
#   failover.sh --planned --yes        the primary is well: hand over without losing or refusing more than a few seconds
#       --to NODE                      prefer this one (it still must have received as much as any other)
#       --without NODE                 a standby that was away when the primary died, and has confirmed nothing since
#
# No answered commit is lost: a commit is answered when one standby has applied it. So first all standbys stop
# receiving, after which the old primary can't answer any commit, whatever it does; then the one that received most is
# promoted. A standby that can't be asked might be the only one to hold a commit: then nothing is changed (exit 3).
# Can be run again after it was interrupted.
set -euo pipefail
NAMESPACE=${NAMESPACE:-shared-services}
NODES=${NODES:-postgres-primary-0 postgres-read-replicas-0 postgres-read-replicas-1}
yes='' planned='' to='' without=' '
while [ $# -gt 0 ]; do
  case $1 in
    --yes) yes=1 ;;
    --planned) planned=1 ;;
    --to) to=${2:?--to wants a node}; shift ;;
    --without) without+="${2:?--without wants a node} "; shift ;;
    *) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift
done

say() { echo "failover: $*" >&2; }
refuse() { say "refused, nothing was changed: $*"; exit 3; }
k() { kubectl -n "$NAMESPACE" "$@"; }
on() { local node=$1; shift; k exec "$node" -c postgres -- bash /scripts/node.sh "$@"; }
topology() { k get configmap postgres-topology -o "jsonpath={.data.$1}"; }
set_topology() { k patch configmap postgres-topology --type merge -p "{\"data\":{\"primary\":\"$1\",\"previous\":\"$2\"}}" >/dev/null; }

old=$(topology primary)
[ "$old" != none ] || old=$(topology previous)
standbys=''
for node in $NODES; do
  case "$without" in *" $node "*) continue ;; esac
  [ "$node" = "$old" ] || standbys+="$node "
done
say "the primary is $old; standbys: $standbys"
[ -n "$yes" ] || { say "say --yes to go on"; exit 2; }

# Everybody is asked before anything is touched.
new=''
for node in $standbys; do
  role=$(on "$node" role 2>/dev/null) || refuse "$node can't be asked, and may hold commits that no other has. Bring it \
back, or, if it was away before the primary died, say --without $node"
  [ "$role" = standby ] || new=$node
done
if [ -z "$new" ]; then
  if on "$old" ready 2>/dev/null; then
    [ -n "$planned" ] || refuse "$old is well; to move the primary anyway, say --planned"
  elif [ -n "$planned" ]; then
    refuse "$old does not answer, so this is no planned change; leave --planned out"
  fi
  if [ -n "$planned" ]; then
    # It stops in order: what it has is sent to the standbys before it ends. Started again, it waits for a leader.
    set_topology none "$old"
    k delete pod "$old" --wait=true >/dev/null
  fi
  reattach() { say "taking the standbys back to $old"; for node in $standbys; do on "$node" follow "$old" || true; done; set_topology "$old" "$old"; }
  trap reattach EXIT
  most=-1
  for node in $standbys; do on "$node" detach; done
  for node in $standbys; do
    position=$(on "$node" position)
    say "$node has received $position bytes"
    if [ "$position" -gt "$most" ] || { [ "$position" -eq "$most" ] && [ "$node" = "$to" ]; }; then
      most=$position new=$node
    fi
  done
  set_topology none "$old"
  trap - EXIT
  [ -n "$planned" ] || k delete pod "$old" --wait=false >/dev/null 2>&1 || true
  say "promoting $new"
fi
[ "$(on "$new" role)" = primary ] || on "$new" promote
k patch service postgres-primary --type merge \
  -p "{\"spec\":{\"selector\":{\"statefulset.kubernetes.io/pod-name\":\"$new\"}}}" >/dev/null
for node in $standbys; do [ "$node" = "$new" ] || on "$node" follow "$new"; done
# Last: until then a second run finds out where the first one ended.
set_topology "$new" "$old"
say "$new is the primary and takes writes. $old rejoins as a standby when its pod starts again."
say "now write primary=$new into deploy/base/postgres/topology.env, so that the next apply keeps it"
