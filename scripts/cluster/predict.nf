// Predict a list of slides in shards with Nextflow: nextflow run scripts/cluster/predict.nf --slides slides.csv --model run/model --out results
// All shards write to one folder: --out must be reached by every task under the same path.
params.slides = null
params.model = null
params.out = 'results'
params.shards = 8

process PREDICT {
    tag "${shard}/${params.shards}"
    cpus 2
    memory '4 GB'
    errorStrategy 'retry'   // a killed shard resumes; one in which slides failed ends with 1 and keeps the others
    maxRetries 2

    input:
    val shard

    output:
    val shard

    script:
    """
    export OMP_NUM_THREADS=1
    inkdot predict '${file(params.slides)}' --model '${file(params.model)}' --out '${file(params.out)}' \\
        --workers ${task.cpus} --shard ${shard}/${params.shards} || [ \$? -eq 1 ]
    """
}

process MERGE {
    input:
    val shards

    script:
    """
    inkdot merge '${file(params.out)}'
    """
}

workflow {
    PREDICT(Channel.of(1..params.shards)) | collect | MERGE
}
