// Command admission answers what a Kubernetes API server would say to manifests: its own strict decoding, defaulting and
// validation, and its own pod security checks. It needs no server. What it can't say: whether names are taken, what
// webhooks want, where pods find room.
//
//	admission FILE...    prints one line a problem; exit code 1 when there is one
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	batchvalidation "k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	k8scorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/kubernetes/pkg/apis/rbac"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	rbacvalidation "k8s.io/kubernetes/pkg/apis/rbac/validation"
	"k8s.io/kubernetes/pkg/apis/scheduling"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	schedulingvalidation "k8s.io/kubernetes/pkg/apis/scheduling/validation"
	podsecurity "k8s.io/pod-security-admission/api"
	podsecuritypolicy "k8s.io/pod-security-admission/policy"
)

func main() {
	bad := false
	for _, path := range os.Args[1:] {
		problems, err := check(path)
		if err != nil {
			problems = append(problems, err.Error())
		}
		for _, problem := range problems {
			fmt.Printf("%s: %s\n", path, problem)
			bad = true
		}
	}
	if bad || len(os.Args) < 2 {
		os.Exit(1)
	}
}

// check reads one file of documents and says what is wrong with each.
func check(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	strict := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	defer documents.Close()
	evaluator, err := podsecuritypolicy.NewEvaluator(podsecuritypolicy.DefaultChecks())
	if err != nil {
		return nil, err
	}
	var problems []string
	restricted := map[string]bool{}
	var pods []pod
	for seen := 0; ; seen++ {
		buffer := make([]byte, 4<<20)
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			if seen == 0 {
				return nil, errors.New("no document")
			}
			break
		}
		if err != nil {
			return problems, err
		}
		object, kind, err := strict.UniversalDecoder().Decode(buffer[:n], nil, nil)
		if err != nil {
			problems = append(problems, fmt.Sprintf("document %d: %v", seen+1, err))
			continue
		}
		name := fmt.Sprintf("document %d: %s", seen+1, kind.Kind)
		if accessor, ok := object.(metav1.ObjectMetaAccessor); ok {
			name = kind.Kind + " " + accessor.GetObjectMeta().GetName()
		}
		found, known := validate(object)
		if !known {
			problems = append(problems, name+": nobody here validates this kind")
		}
		for _, e := range found {
			problems = append(problems, name+": "+e.Error())
		}
		if namespace, ok := object.(*core.Namespace); ok {
			restricted[namespace.Name] = namespace.Labels["pod-security.kubernetes.io/enforce"] == "restricted"
		}
		if p, ok := podOf(object); ok {
			p.owner = name
			pods = append(pods, p)
		}
	}
	for _, p := range pods {
		// kube-system is the cluster's own; its pods are held to the same rules here.
		if !restricted[p.namespace] && p.namespace != "kube-system" {
			problems = append(problems, p.owner+": namespace "+p.namespace+" does not enforce pod security")
			continue
		}
		level := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
		for _, result := range evaluator.EvaluatePod(level, &p.template.ObjectMeta, &p.template.Spec) {
			if !result.Allowed {
				problems = append(problems, fmt.Sprintf("%s: pod security: %s: %s", p.owner, result.ForbiddenReason, result.ForbiddenDetail))
			}
		}
	}
	return problems, nil
}

// pod is the template of a workload.
type pod struct {
	owner     string
	namespace string
	template  corev1.PodTemplateSpec
}

func podOf(object runtime.Object) (pod, bool) {
	var template *core.PodTemplateSpec
	var namespace string
	switch o := object.(type) {
	case *apps.Deployment:
		template, namespace = &o.Spec.Template, o.Namespace
	case *apps.StatefulSet:
		template, namespace = &o.Spec.Template, o.Namespace
	case *apps.DaemonSet:
		template, namespace = &o.Spec.Template, o.Namespace
	case *batch.Job:
		template, namespace = &o.Spec.Template, o.Namespace
	case *batch.CronJob:
		template, namespace = &o.Spec.JobTemplate.Spec.Template, o.Namespace
	default:
		return pod{}, false
	}
	var out corev1.PodTemplateSpec
	if err := k8scorev1.Convert_core_PodTemplateSpec_To_v1_PodTemplateSpec(template, &out, nil); err != nil {
		panic(err)
	}
	return pod{namespace: namespace, template: out}, true
}

// validate runs the server's own validation for creating the object. The kinds are those of deploy/; a new kind is added
// here, or is reported.
func validate(object runtime.Object) (field.ErrorList, bool) {
	pods := validation.PodValidationOptions{}
	switch o := object.(type) {
	case *core.Namespace:
		return validation.ValidateNamespace(o), true
	case *core.ServiceAccount:
		return validation.ValidateServiceAccount(o), true
	case *core.ConfigMap:
		return validation.ValidateConfigMap(o), true
	case *core.Secret:
		return validation.ValidateSecret(o), true
	case *core.Service:
		// The server copies the one address before it validates.
		if o.Spec.ClusterIP != "" && len(o.Spec.ClusterIPs) == 0 {
			o.Spec.ClusterIPs = []string{o.Spec.ClusterIP}
		}
		return validation.ValidateServiceCreate(o), true
	case *core.PersistentVolumeClaim:
		return validation.ValidatePersistentVolumeClaim(o, validation.PersistentVolumeClaimSpecValidationOptions{}), true
	case *core.ResourceQuota:
		return validation.ValidateResourceQuota(o), true
	case *core.LimitRange:
		return validation.ValidateLimitRange(o), true
	case *apps.Deployment:
		return appsvalidation.ValidateDeployment(o, pods), true
	case *apps.StatefulSet:
		return appsvalidation.ValidateStatefulSet(o, pods), true
	case *batch.CronJob:
		return batchvalidation.ValidateCronJobCreate(o, pods), true
	case *batch.Job:
		// The server gives a job a selector of its own before it validates.
		const uid = "batch.kubernetes.io/controller-uid"
		o.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{uid: "0"}}
		o.Spec.Template.Labels = labels.Merge(o.Spec.Template.Labels, labels.Set{uid: "0"})
		return batchvalidation.ValidateJobSpec(&o.Spec, field.NewPath("spec"), pods), true
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{}), true
	case *networking.Ingress:
		return networkingvalidation.ValidateIngressCreate(o), true
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{}), true
	case *rbac.ClusterRole:
		return rbacvalidation.ValidateClusterRole(o, rbacvalidation.ClusterRoleValidationOptions{}), true
	case *rbac.ClusterRoleBinding:
		return rbacvalidation.ValidateClusterRoleBinding(o), true
	case *rbac.Role:
		return rbacvalidation.ValidateRole(o), true
	case *rbac.RoleBinding:
		return rbacvalidation.ValidateRoleBinding(o), true
	case *scheduling.PriorityClass:
		return schedulingvalidation.ValidatePriorityClass(o), true
	default:
		return nil, false
	}
}
