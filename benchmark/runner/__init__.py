"""Running a plan.

run             rows from beginning to end
scheduler       which job may start now, and which comes next
local_executor  runs jobs in processes of this machine
rank_group      trains one stage in several processes, each of which is a rank
ray_executor    gives jobs to the nodes of a Ray cluster
slurm           submits jobs to a cluster
simulation      the scheduler on devices whose time is simulated: how long a run takes on many of them
jobs            what there is to do: measure a network, train a stage, test a row
stage, row      how a stage is trained; how a row is tested and recorded
preflight       checks, memory and time before anything is trained
stage_store     trained stages by their keys
"""
