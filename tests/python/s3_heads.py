"""HEAD on each object: prints location -> storage class, as JSON. Usage: s3_heads.py ENDPOINT LOCATION..."""
import json
import sys

import boto3


def main():
    client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="reader",
                          aws_secret_access_key="secret")
    classes = {}
    for location in sys.argv[2:]:
        bucket, key = location.removeprefix("s3://").split("/", 1)
        classes[location] = client.head_object(Bucket=bucket, Key=key).get("StorageClass", "STANDARD")
    print(json.dumps(classes))


if __name__ == "__main__":
    main()
