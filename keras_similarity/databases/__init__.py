"""Databases that find and keep: search engine and store in one."""

from keras_similarity.databases.base import Database
from keras_similarity.databases.lance import LanceSearch
from keras_similarity.databases.milvus import MilvusSearch
from keras_similarity.databases.milvus_connection import MilvusWriteError

__all__ = ["Database", "LanceSearch", "MilvusSearch", "MilvusWriteError"]
